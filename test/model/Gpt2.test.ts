import { assert, describe, it, layer, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import * as Architecture from "../../src/model/Architecture.ts"
import * as Family from "../../src/model/Family.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { everywhere } from "../tensor/Parity.ts"
import * as FamilyTests from "./FamilyTests.ts"
import * as Reference from "./Reference.ts"

const gpt2 = (it: Vitest.MethodsNonLive<Backend>) => {
  Reference.tests(it, ["gpt2", "gpt2-classification"])

  FamilyTests.recomputes(it, ["gpt2"])
  FamilyTests.packs(it, ["gpt2"])
  FamilyTests.drops(it, ["gpt2"], 0.1)
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
      ["a negative number of layers", { n_layer: -1 }, "n_layer"],
      ["a number of layers that would fill the memory with names", { n_layer: 2 ** 31 - 1 }, "n_layer"],
      ["a vocabulary that is text", { vocab_size: "many" }, "vocab_size"],
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
