/**
 * What all stages that evaluate a model have in common.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Checkpoint from "../model/Checkpoint.ts"
import { InvalidExample } from "../model/Examples.ts"
import * as Memory from "../model/Memory.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import * as Stage from "../pipeline/Stage.ts"

/** Which side of a split the examples are on. */
export const Side = Schema.Literals(["validation", "test"])
export type Side = typeof Side.Type

/** The columns that every table of predictions has. */
export const example = {
  split: Side,
  /** Digest of the example's content: the same in every trial. */
  example: Schema.String
}

/** Keep texts to so many tokens, as in fine-tuning; `null` for as many as the model has positions for. */
export const maximumLength = Stage.withDefault(
  Schema.NullOr(Schema.Int.check(Schema.isGreaterThan(0))),
  null
)

/** What can go wrong whatever is evaluated. */
export const EvaluationError = Schema.Union([
  Memory.DoesNotFit,
  Memory.OutOfMemory,
  InvalidExample,
  PretrainedModel.ModelError
])
export type EvaluationError = typeof EvaluationError.Type

/** How stages that evaluate are run. */
export const stage = {
  resources: { tensors: true },
  // A process that was killed says nothing about the trial.
  retry: { times: 1, while: (error: { readonly _tag: string }) => error._tag === "WorkerDied" },
  // What does not fit into the backend, which the key names, will not fit another time, and logits that are not numbers
  // are what these weights give.
  keepFailure: (error: { readonly _tag: string; readonly limitedBy?: string }) =>
    error._tag === "InvalidLogits" || (error._tag === "DoesNotFit" && error.limitedBy === "backend")
}

/** A model, its tokenizer, and the tokens of the longest text that it is given. */
export const load = Effect.fnUntraced(function*(
  model: PretrainedModel.PretrainedModel,
  options: { readonly maximumLength: number | null }
) {
  const checkpoint = yield* PretrainedModel.load(model.files)
  const { maximumLength: positions, vocabularySize } = yield* Checkpoint.modelOf(checkpoint)
  const tokenizer = yield* Checkpoint.tokenizerOf(checkpoint)
  return { checkpoint, tokenizer, vocabularySize, longest: Math.min(options.maximumLength ?? positions, positions) }
})
