import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as PretrainedModel from "./PretrainedModel.ts"

/**
 * A model of the same architecture and tokenizer as another one with fresh
 * weights: what training from scratch starts from.
 */
export const InitializeModel = Stage.make("initialize-model", {
  inputs: { like: PretrainedModel.PretrainedModel },
  params: { seed: Schema.Int },
  output: PretrainedModel.PretrainedModel,
  error: PretrainedModel.ModelError,
  run: Effect.fn("InitializeModel")(function*({ like }, { seed }) {
    const checkpoint = yield* PretrainedModel.load(like.files)
    const { files } = yield* Checkpoint.tokenizerOf(checkpoint)
    const { companions } = checkpoint
    return yield* PretrainedModel.store({ ...yield* Checkpoint.untrained(checkpoint.config, files, seed), companions })
  })
})
