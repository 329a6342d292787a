import { assert, describe, it, layer, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import type { Parameters } from "../../src/model/Architecture.ts"
import * as Architecture from "../../src/model/Architecture.ts"
import * as Family from "../../src/model/Family.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend, type Tensor, type Tf } from "../../src/tensor/Backend.ts"
import * as Operations from "../../src/tensor/Operations.ts"
import { everywhere } from "../tensor/Parity.ts"

const fixture = (path: string) => new Uint8Array(readFileSync(new URL(`../fixtures/hf/${path}`, import.meta.url)))

const load = Effect.fnUntraced(function*(folder: string) {
  const config = JSON.parse(new TextDecoder().decode(fixture(`${folder}/config.json`)))
  const model = yield* Family.model(config)
  const { tensors } = yield* Safetensors.decode(fixture(`${folder}/model.safetensors`))
  const { tensors: reference } = yield* Safetensors.decode(fixture(`${folder}/reference.safetensors`))
  const float = (name: string) => reference.get(name)!.data as Float32Array
  const integer = (name: string) => Int32Array.from(reference.get(name)!.data as BigInt64Array, Number)
  const [batch, time] = reference.get("input_ids")!.shape as [number, number]
  const attention = integer("attention_mask")
  const lengths = Int32Array.from(
    { length: batch },
    (_, row) => attention.subarray(row * time, (row + 1) * time).reduce((sum, one) => sum + one, 0)
  )
  return { model, tensors, reference, float, integer, input: { batch, time, inputIds: integer("input_ids"), lengths } }
})

const upload = (tf: Tf, parameters: Parameters) =>
  new Map(Array.from(parameters, ([name, { data, shape }]) => [name, tf.tensor(data, [...shape], "float32")]))

/** What a computation gives. Not by `dataSync`, which a GPU does not have. */
const read = (tf: Tf, compute: () => Array<Tensor>) =>
  Effect.promise(async () => {
    const results = tf.tidy(compute)
    const values = await Promise.all(results.map((result) => result.data()))
    tf.dispose(results)
    return values
  })

/** The largest difference, relative to the largest magnitude of the whole tensor. */
const relative = (found: ArrayLike<number>, expected: ArrayLike<number>) => {
  assert.strictEqual(found.length, expected.length)
  let difference = 0, magnitude = 0
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(found[i]! - expected[i]!))
    magnitude = Math.max(magnitude, Math.abs(expected[i]!))
  }
  return difference / magnitude
}

const gpt2 = (it: Vitest.MethodsNonLive<Backend>) => {
  /** Loss and gradients of the fixture's batch, held to transformers' own. */
  const compare = Effect.fnUntraced(function*(
    folder: string,
    select: (loaded: Effect.Success<ReturnType<typeof load>>) => { rows: Int32Array; targets: Int32Array }
  ) {
    const loaded = yield* load(folder)
    const { float, input, model } = loaded
    const { tf } = yield* Backend
    const before = tf.memory().numTensors
    const names = model.parameters.map(({ name }) => name)
    const { rows, targets } = select(loaded)
    const [value, ...gradients] = yield* read(tf, () => {
      const variables = upload(tf, loaded.tensors as Parameters)
      const loss = (...values: Array<Tensor>) => {
        const loaded = Weights.make(tf, model, new Map(names.map((name, i) => [name, values[i]!])))
        const logits = model.logits(tf, loaded, model.hidden(tf, loaded, input, { rows }))
        const weights = tf.tensor1d(new Float32Array(rows.length).fill(1 / rows.length))
        return Operations.crossEntropy(tf, logits, tf.tensor1d(targets, "int32"), weights)
      }
      const { grads, value } = tf.valueAndGrads(loss)(names.map((name) => variables.get(name)!))
      return [value, ...grads]
    })
    assert.closeTo(value![0]!, float("loss")[0]!, 1e-6 * float("loss")[0]!)
    for (const [i, name] of names.entries()) {
      assert.isBelow(relative(gradients[i]!, float(`grad.${name}`)), 1e-4, name)
    }
    assert.strictEqual(tf.memory().numTensors, before)
  })

  it.effect("gives the language model's logits, loss and gradients of transformers", () =>
    Effect.gen(function*() {
      const { float, input, model, tensors } = yield* load("gpt2")
      const { tf } = yield* Backend
      const [logits] = yield* read(tf, () => {
        const weights = Weights.make(tf, model, upload(tf, tensors as Parameters))
        return [model.logits(tf, weights, model.hidden(tf, weights, input))]
      })
      assert.isBelow(relative(logits!, float("logits")), 1e-5)
      yield* compare("gpt2", ({ input, integer }) => {
        const labels = integer("labels")
        const rows: Array<number> = [], targets: Array<number> = []
        for (let i = 0; i + 1 < labels.length; i++) {
          if ((i + 1) % input.time === 0 || labels[i + 1] === -100) continue
          rows.push(i)
          targets.push(labels[i + 1]!)
        }
        return { rows: Int32Array.from(rows), targets: Int32Array.from(targets) }
      })
    }))

  it.effect("gives the classifier's logits, loss and gradients of transformers", () =>
    Effect.gen(function*() {
      const loaded = yield* load("gpt2-classification")
      const { float, input, model } = loaded
      const { tf } = yield* Backend
      const pooled = Int32Array.from(
        { length: input.batch },
        (_, row) =>
          row * input.time + model.pooledPosition(input.inputIds.subarray(row * input.time, (row + 1) * input.time))
      )
      const [logits] = yield* read(tf, () => {
        const weights = Weights.make(tf, model, upload(tf, loaded.tensors as Parameters))
        return [model.logits(tf, weights, model.hidden(tf, weights, input, { rows: pooled }))]
      })
      assert.isBelow(relative(logits!, float("logits")), 1e-5)
      yield* compare("gpt2-classification", ({ integer }) => ({ rows: pooled, targets: integer("labels") }))
    }))

  it.effect("drops the same for a seed and a step, and its mean is the undropped value", () =>
    Effect.gen(function*() {
      const { input, model, tensors } = yield* load("gpt2")
      const { tf } = yield* Backend
      const run = (dropout?: { readonly seed: number; readonly step: number; readonly rate: number }) =>
        Effect.map(
          read(tf, () => {
            const weights = Weights.make(tf, model, upload(tf, tensors as Parameters))
            return [model.hidden(tf, weights, input, dropout === undefined ? {} : { dropout })]
          }),
          ([hidden]) => hidden!
        )
      const dropped = yield* run({ seed: 1, step: 4, rate: 0.2 })
      assert.deepStrictEqual(yield* run({ seed: 1, step: 4, rate: 0.2 }), dropped)
      assert.isAbove(relative(yield* run({ seed: 1, step: 5, rate: 0.2 }), dropped), 0.1)
      assert.isAbove(relative(yield* run({ seed: 2, step: 4, rate: 0.2 }), dropped), 0.1)
      // With nothing dropped the path with dropout's factors is the path without.
      const plain = yield* run()
      assert.deepStrictEqual(yield* run({ seed: 1, step: 4, rate: 0 }), plain)
      assert.isBelow(relative(yield* run({ seed: 1, step: 4, rate: 1e-12 }), plain), 1e-5)
    }))
}

for (const name of everywhere) layer(Backend.layer(name))(`Gpt2 on ${name}`, gpt2)

describe("Gpt2", () => {
  const config = Gpt2.config({ vocabularySize: 257, positions: 48, width: 64, layers: 3, heads: 4, endOfTextId: 256 })

  it.effect("draws weights as transformers does: normal, with the residual projections scaled down", () =>
    Effect.gen(function*() {
      const model = yield* Gpt2.family.make(config, "causal-language-modeling")
      const parameters = Architecture.initialize(model, 5)
      const deviation = (name: string) => {
        const { data } = parameters.get(name)!
        const mean = data.reduce((sum, x) => sum + x, 0) / data.length
        // Five standard errors of a mean and of a deviation.
        assert.isBelow(Math.abs(mean), 5 * 0.02 / Math.sqrt(data.length), name)
        return [Math.sqrt(data.reduce((sum, x) => sum + (x - mean) ** 2, 0) / data.length), data.length] as const
      }
      for (
        const [name, expected] of [
          ["transformer.wte.weight", 0.02],
          ["transformer.wpe.weight", 0.02],
          ["transformer.h.2.attn.c_attn.weight", 0.02],
          ["transformer.h.0.attn.c_proj.weight", 0.02 / Math.sqrt(6)],
          ["transformer.h.1.mlp.c_proj.weight", 0.02 / Math.sqrt(6)]
        ] as const
      ) {
        const [found, size] = deviation(name)
        assert.isBelow(Math.abs(found / expected - 1), 5 / Math.sqrt(2 * size), name)
      }
      assert.isTrue(parameters.get("transformer.ln_f.weight")!.data.every((x) => x === 1))
      assert.isTrue(parameters.get("transformer.h.0.mlp.c_fc.bias")!.data.every((x) => x === 0))
      assert.deepStrictEqual(Architecture.initialize(model, 5), parameters)
      assert.notDeepEqual(Architecture.initialize(model, 6), parameters)
    }))

  it.effect("reads a class from the last token that is not padding", () =>
    Effect.gen(function*() {
      const model = yield* Gpt2.family.make(config, "sequence-classification")
      assert.strictEqual(model.pooledPosition([5, 6, 256, 7, 256, 256]), 3)
      assert.strictEqual(model.pooledPosition([256, 256]), 0)
      assert.strictEqual(model.pooledPosition([5, 6]), 1)
    }))

  for (
    const [what, change, field] of [
      ["an activation that is not implemented", { activation_function: "relu" }, "activation_function"],
      ["heads that do not divide the width", { n_head: 5 }, "n_embd"],
      ["a negative number of layers", { n_layer: -1 }, "holds"],
      ["a number of layers that would fill the memory with names", { n_layer: 2 ** 31 - 1 }, "holds"],
      ["a vocabulary that is text", { vocab_size: "many" }, "holds"],
      ["an untied head", { tie_word_embeddings: false }, "tie_word_embeddings"]
    ] as const
  ) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Gpt2.family.make({ ...config, ...change }, "causal-language-modeling"))
        assert.strictEqual(error._tag, "InvalidConfig")
        assert.strictEqual(error.field, field)
      }))
  }

  it.effect("names what it knows when it does not know a model", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Family.model({ model_type: "mamba", architectures: ["MambaForCausalLM"] }))
      assert.strictEqual(error._tag, "UnknownArchitecture")
      assert.match(error.message, /mamba.*MambaForCausalLM.*GPT2LMHeadModel/)
      const headless = yield* Effect.flip(
        Family.model({ model_type: "gpt2", architectures: ["GPT2ForMultipleChoice"] })
      )
      assert.match(headless.message, /GPT2ForMultipleChoice/)
    }))
})
