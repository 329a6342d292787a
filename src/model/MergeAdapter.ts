import * as Effect from "effect/Effect"
import * as Stage from "../pipeline/Stage.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as PretrainedModel from "./PretrainedModel.ts"

/**
 * Puts a model's adapter into its weights: a model that computes the same by
 * itself, for whoever has no use for adapters. It is as large as its base.
 * A model without an adapter stays as it is.
 */
export const MergeAdapter = Stage.make("merge-adapter", {
  inputs: { model: PretrainedModel.PretrainedModel },
  params: {},
  output: PretrainedModel.PretrainedModel,
  error: PretrainedModel.ModelError,
  run: Effect.fn("MergeAdapter")(function*({ model }) {
    return yield* PretrainedModel.store(yield* Checkpoint.merged(yield* PretrainedModel.load(model.files)))
  })
})
