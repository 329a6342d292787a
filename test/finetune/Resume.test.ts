import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Resume from "../../src/finetune/Resume.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"

const one = (value: number) => new Map([["transformer.w.weight", { shape: [1, 2], data: Float32Array.of(value, -0) }]])
const state: Resume.TrainState = {
  step: 7,
  epoch: 1.75,
  plan: { examples: 30, batchSize: 8, totalSteps: 12, seed: 2 ** 40 },
  parameters: one(1),
  moments: { first: one(2), second: one(3) }
}

describe("Resume", () => {
  it.effect("reads what it wrote", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Resume.decode(Resume.encode(state), state.parameters), state)
    }))

  it.effect("refuses other files, and states that are not whole", () =>
    Effect.gen(function*() {
      const whole = yield* Safetensors.decode(Resume.encode(state))
      const attempt = (tensors: ReadonlyMap<string, Safetensors.Tensor>, metadata = whole.metadata) =>
        Effect.flip(Resume.decode(Safetensors.encode(tensors, metadata), state.parameters))
      assert.match((yield* attempt(whole.tensors, { format: "pt" })).message, /metadata/)
      assert.match((yield* attempt(whole.tensors, { ...whole.metadata, step: "1.5" })).message, /metadata/)
      const without = new Map([...whole.tensors].filter(([name]) => !name.startsWith("second.")))
      assert.match((yield* attempt(without)).message, /second moment of transformer\.w\.weight is missing/)
      const more = new Map([...whole.tensors, ["x", whole.tensors.values().next().value!] as const])
      assert.match((yield* attempt(more)).message, /holds x/)
      const cut = yield* Effect.flip(Resume.decode(Resume.encode(state).subarray(0, 100), state.parameters))
      assert.strictEqual(cut._tag, "MalformedSafetensors")
    }))

  it.effect("continues only the run that it was saved from", () =>
    Effect.gen(function*() {
      const parameters = [{ name: "transformer.w.weight", shape: [1, 2] }]
      yield* Resume.check(state, state.plan, parameters)
      const other = yield* Effect.flip(Resume.check(state, { ...state.plan, totalSteps: 24 }, parameters))
      assert.deepInclude(other, { field: "totalSteps", saved: "12", given: "24" })
      const shape = yield* Effect.flip(Resume.check(state, state.plan, [{ name: "transformer.w.weight", shape: [2] }]))
      assert.deepInclude(shape, { field: "transformer.w.weight", saved: "[1, 2]", given: "[2]" })
    }))
})
