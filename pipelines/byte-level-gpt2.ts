/**
 * What the pipelines that pre-train a model begin with.
 */
import { Checkpoint, Gpt2, PretrainedModel, Stage, Tokenizer } from "attune"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** An untrained GPT-2 whose tokens are the bytes of UTF-8. */
export const ByteLevelGpt2 = Stage.make("byte-level-gpt2", {
  inputs: {},
  params: { width: Schema.Int, layers: Schema.Int, heads: Schema.Int, positions: Schema.Int, seed: Schema.Int },
  output: PretrainedModel.PretrainedModel,
  error: PretrainedModel.ModelError,
  run: Effect.fn("ByteLevelGpt2")(function*(_, { seed, ...shape }) {
    const config = Gpt2.config({ vocabularySize: 257, endOfTextId: 256, dropout: 0, ...shape })
    return yield* PretrainedModel.store(yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), seed))
  })
})
