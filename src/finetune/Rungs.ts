/**
 * Fine-tuning in parts, so that a trial can be promoted from rung to rung.
 */
import type * as Splits from "../dataset/Splits.ts"
import type * as PretrainedModel from "../model/PretrainedModel.ts"
import type * as Node from "../pipeline/Node.ts"
import { FineTune, FineTuneConversations, FineTuneScores, FineTuneTags } from "./FineTune.ts"
import { defaults } from "./Hyperparameters.ts"
import type { FineTuned, FineTuneError } from "./Training.ts"

type Data<A, E = unknown, R = unknown> = Node.Node<A, E, R>

/** What fine-tuning is wired to: the model, the examples, and those to take the loss on meanwhile. */
interface Wiring<Train, Validation> {
  readonly model: Data<PretrainedModel.PretrainedModel>
  readonly train: Data<Train>
  readonly validation?: Data<Validation> | undefined
}

type ErrorOf<W> = Node.Error<W[keyof W]>
type ServicesOf<W> = Node.Services<W[keyof W]>

/** A run of one of the stages up to a point, from a checkpoint or from the beginning. */
type Part<W, Params> = (
  inputs: W & { readonly checkpoint: Data<FineTuned> | undefined },
  params: Params & { readonly stopAfterEpochs: number }
) => Data<FineTuned>

/** Runs the parts that end at each rung in turn, each from the checkpoint of the one before. */
const through = <W, Params extends { readonly epochs?: number }>(part: Part<W, Params>) =>
<const Wired extends W>(
  inputs: Wired,
  params: Params,
  rungs: ReadonlyArray<number>
): Node.Node<FineTuned, FineTuneError | ErrorOf<Wired>, ServicesOf<Wired>> => {
  const horizon = params.epochs ?? defaults.epochs
  const stops = [...new Set((rungs.length === 0 ? [horizon] : rungs).map((rung) => Math.min(rung, horizon)))]
  let checkpoint: Data<FineTuned> | undefined
  for (const stopAfterEpochs of stops) checkpoint = part({ ...inputs, checkpoint }, { ...params, stopAfterEpochs })
  return checkpoint as Node.Node<FineTuned, FineTuneError | ErrorOf<Wired>, ServicesOf<Wired>>
}

/** A hyperparameter record as the stages take it: only the learning rate has no default. */
export type FineTuneParams = Omit<Parameters<typeof FineTune>[1], "stopAfterEpochs">
export type FineTuneConversationsParams = Omit<Parameters<typeof FineTuneConversations>[1], "stopAfterEpochs">

/**
 * Fine-tunes up to each of `rungs` (in epochs) in turn, every part continuing
 * from the checkpoint of the one before, and ends at the last. Two runs that
 * agree on a prefix share it. A rung beyond the horizon ends at the horizon.
 */
export const fineTuneThrough = through<Wiring<Splits.TrainSplit, Splits.ValidationSplit>, FineTuneParams>(FineTune)

/** {@link fineTuneThrough} for scored texts. */
export const fineTuneScoresThrough = through<Wiring<Splits.TrainScores, Splits.ValidationScores>, FineTuneParams>(
  FineTuneScores
)

/** {@link fineTuneThrough} for tagged words. */
export const fineTuneTagsThrough = through<Wiring<Splits.TrainTags, Splits.ValidationTags>, FineTuneParams>(
  FineTuneTags
)

/** {@link fineTuneThrough} for conversations. */
export const fineTuneConversationsThrough = through<
  Wiring<Splits.TrainConversations, Splits.ValidationConversations>,
  FineTuneConversationsParams
>(FineTuneConversations)
