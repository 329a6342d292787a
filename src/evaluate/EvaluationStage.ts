/**
 * What all stages that evaluate a model have in common.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Head } from "../model/Architecture.ts"
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

/** What models with each head do, which stage makes them, and which one evaluates them. */
const heads: Readonly<Record<Head, { readonly does: string; readonly made?: string; readonly evaluated?: string }>> = {
  "sequence-classification": { does: "puts texts into classes", made: "FineTune", evaluated: "Evaluate" },
  "sequence-regression": { does: "gives texts a number", made: "FineTuneScores", evaluated: "EvaluateScores" },
  "token-classification": { does: "tags words", made: "FineTuneTags", evaluated: "EvaluateTags" },
  "causal-language-modeling": {
    does: "continues texts",
    made: "FineTuneConversations",
    evaluated: "EvaluateLanguageModel or EvaluateGenerations"
  },
  none: { does: "has no head" }
}

/** The model does something else than what is evaluated. */
export class WrongHead extends Schema.TaggedError<WrongHead>()("WrongHead", { expected: Head, found: Head }) {
  override get message() {
    const { does, made } = heads[this.expected], { does: other, evaluated } = heads[this.found]
    return `The model ${other}, and this stage evaluates one that ${does}: wire it to what ${made} puts out` +
      `${evaluated === undefined ? "" : `, or evaluate this model by ${evaluated}`}.`
  }
}

/** What can go wrong whatever is evaluated. */
export const EvaluationError = Schema.Union([
  Memory.DoesNotFit,
  Memory.OutOfMemory,
  InvalidExample,
  WrongHead,
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

/** A model with this head, its tokenizer, and the tokens of the longest text that it is given. */
export const load = Effect.fnUntraced(function*(
  model: PretrainedModel.PretrainedModel,
  expected: Exclude<Head, "none">,
  options: { readonly maximumLength: number | null }
) {
  const checkpoint = yield* PretrainedModel.load(model.files)
  const { head, maximumLength: positions, vocabularySize } = yield* Checkpoint.modelOf(checkpoint)
  if (head !== expected) return yield* new WrongHead({ expected, found: head })
  const tokenizer = yield* Checkpoint.tokenizerOf(checkpoint)
  return { checkpoint, tokenizer, vocabularySize, longest: Math.min(options.maximumLength ?? positions, positions) }
})
