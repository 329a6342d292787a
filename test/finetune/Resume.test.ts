import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Resume from "../../src/finetune/Resume.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"

const one = (value: number) => new Map([["transformer.w.weight", { shape: [1, 2], data: Float32Array.of(value, -0) }]])
const state: Resume.TrainState = {
  step: 7,
  epoch: 1.75,
  plan: { examples: 30, rows: 28, batchSize: 8, totalSteps: 12, seed: 2 ** 40 },
  parameters: one(1),
  optimizer: new Map([["first", one(2)], ["second", one(3)]]),
  average: one(4),
  validation: { loss: 0.25, step: 4, waited: 1, parameters: one(5) },
  watchdog: [0.5, 1.25]
}
const slots = new Map(["first", "second"].map((slot) => [slot, new Map([["transformer.w.weight", [1, 2]]])]))

describe("Resume", () => {
  it.effect("reads what it wrote, with weights that the model keeps or of its own", () =>
    Effect.gen(function*() {
      const kept = Resume.encode(state, state.parameters)
      assert.deepStrictEqual(yield* Resume.decode(kept, state.parameters), state)
      const own = Resume.encode(state, one(9))
      assert.isAbove(own.length, kept.length)
      assert.deepStrictEqual(yield* Resume.decode(own, one(9)), state)
      const { average: _, ...young } = { ...state, validation: { loss: Infinity, step: 0, waited: 0 } }
      assert.deepStrictEqual(yield* Resume.decode(Resume.encode(young, young.parameters), young.parameters), young)
    }))

  it.effect("refuses other files", () =>
    Effect.gen(function*() {
      const whole = yield* Safetensors.decode(Resume.encode(state, state.parameters))
      const attempt = (tensors: ReadonlyMap<string, Safetensors.Tensor>, metadata = whole.metadata) =>
        Effect.flip(Resume.decode(Safetensors.encode(tensors, metadata), state.parameters))
      assert.match((yield* attempt(whole.tensors, { format: "pt" })).message, /metadata/)
      assert.match((yield* attempt(whole.tensors, { ...whole.metadata, step: "1.5" })).message, /metadata/)
      for (const name of ["x", "optimizer.transformer.w.weight", "average.another", "other.transformer.w.weight"]) {
        const more = new Map([...whole.tensors, [name, whole.tensors.values().next().value!] as const])
        assert.include((yield* attempt(more)).message, `holds ${name}`)
      }
      const cut = yield* Effect.flip(
        Resume.decode(Resume.encode(state, state.parameters).subarray(0, 100), state.parameters)
      )
      assert.strictEqual(cut._tag, "MalformedSafetensors")
    }))

  it.effect("continues only the run that it was saved from", () =>
    Effect.gen(function*() {
      const parameters = [{ name: "transformer.w.weight", shape: [1, 2] }]
      yield* Resume.check(state, state.plan, parameters, slots)
      const other = yield* Effect.flip(Resume.check(state, { ...state.plan, totalSteps: 24 }, parameters, slots))
      assert.deepInclude(other, { field: "totalSteps", saved: "12", given: "24" })
      const shape = yield* Effect.flip(
        Resume.check(state, state.plan, [{ name: "transformer.w.weight", shape: [2] }], slots)
      )
      assert.deepInclude(shape, { field: "transformer.w.weight", saved: "[1, 2]", given: "[2]" })
      const { second: _, ...rest } = Object.fromEntries(slots)
      const optimizer = yield* Effect.flip(Resume.check(state, state.plan, parameters, new Map(Object.entries(rest))))
      assert.deepInclude(optimizer, { saved: "first, second", given: "first" })
    }))
})
