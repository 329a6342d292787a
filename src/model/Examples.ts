/**
 * Texts as token ids, and the batches that a model computes on: padded how, and with which predictions counted.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as RowProblem from "../store/RowProblem.ts"
import type { Model, TokenBatch } from "./Architecture.ts"
import * as Tokenizer from "./Tokenizer.ts"

/** A text to learn from or to judge. */
export interface Example {
  /** Its token ids, without padding. */
  readonly tokens: Int32Array
  /** Its class, for a classifier of sequences. */
  readonly label?: number
  /** What a regression should give. */
  readonly score?: number
  /**
   * One for each token, -100 where it is not supervised. For a classifier of tokens the class of each; for a language model
   * the token itself, which is predicted from those before it: all tokens unless given.
   */
  readonly labels?: Int32Array
}

/** The label of a position that is not supervised, as in PyTorch's cross-entropy. */
export const ignored = -100

/** A padded batch with the positions whose predictions count. */
export interface Batch extends TokenBatch {
  /** Rows of the flattened `[batch * time]` hidden states from which a prediction is made. */
  readonly rows: Int32Array
  /** What each of those rows should be predicted as: a class, or a token. */
  readonly targets: Int32Array
  /** In their place, what a regression should give. */
  readonly scores: Float32Array
  /** How many tokens are not padding. */
  readonly tokens: number
}

/** So many labels are listed in a message. */
const manyLabels = 12

const listed = (labels: ReadonlyArray<string>): string =>
  labels.slice(0, manyLabels).join(", ") + (labels.length > manyLabels ? ` and ${labels.length - manyLabels} more` : "")

/** An example that cannot be learned from. */
export class InvalidExample extends Schema.TaggedError<InvalidExample>()("InvalidExample", {
  /** Counted from 0, in the message from 1; -1 when it is the list that is at fault. */
  example: Schema.Int,
  reason: Schema.String
}) {
  /** Of a text with a label that the model was not made for. */
  static unknownLabel(
    example: number,
    { label, text }: { readonly text: string; readonly label: string },
    labels: ReadonlyArray<string>
  ): InvalidExample {
    const reason =
      `${RowProblem.show(text)} has the label ${JSON.stringify(label)}, and the model is trained for the ` +
      `labels ${listed(labels)}`
    return new InvalidExample({ example, reason })
  }

  override get message() {
    return this.example < 0 ? `The examples: ${this.reason}.` : `Example ${this.example + 1}: ${this.reason}.`
  }
}

/** Whether a model gives one answer for a text, and not one for each token. */
const answersOnce = ({ head }: Pick<Model, "head">): boolean =>
  head === "sequence-classification" || head === "sequence-regression"

/** How far a label stands behind the position that predicts it. */
const shiftOf = ({ head }: Pick<Model, "head">): number => head === "token-classification" ? 0 : 1

/**
 * The supervised positions of an example: `[position that predicts, label]`. A classifier of tokens predicts each label where
 * it stands; a language model one position before, so that the first token is never predicted.
 */
const supervised = function*(model: Pick<Model, "head">, example: Example): Generator<readonly [number, number]> {
  const shift = shiftOf(model)
  const labels = example.labels ?? (shift === 1 ? example.tokens : [])
  for (let position = shift; position < labels.length; position++) {
    const label = labels[position]!
    if (label !== ignored) yield [position - shift, label]
  }
}

const count = (positions: Iterable<unknown>): number => {
  let total = 0
  for (const _ of positions) total++
  return total
}

const flawOfAnswer = (model: Model, { label, score }: Example, labelled: boolean): string | undefined => {
  if (model.head === "sequence-regression") {
    if (score === undefined) return labelled ? "it has no score" : undefined
    return Number.isFinite(score) ? undefined : `its score is ${score}`
  }
  if (label === undefined) return labelled ? "it has no label" : undefined
  return Number.isInteger(label) && label >= 0 && label < model.outputs
    ? undefined
    : `its label ${label} is not one of the ${model.outputs} classes`
}

const flaw = (model: Model, example: Example, labelled: boolean): string | undefined => {
  const { labels, tokens } = example
  if (tokens.length === 0) return "it has no token"
  if (tokens.length > model.maximumLength) {
    return `it has ${tokens.length} tokens, and the model has positions for ${model.maximumLength}: truncate it`
  }
  if (answersOnce(model)) return flawOfAnswer(model, example, labelled)
  if (labels !== undefined && labels.length !== tokens.length) {
    return `it has ${labels.length} labels for ${tokens.length} tokens`
  }
  let total = 0
  for (const [position, label] of supervised(model, example)) {
    if (label < 0 || label >= model.outputs) {
      const outputs = model.head === "token-classification"
        ? `one of the ${model.outputs} classes`
        : "in the vocabulary"
      return `its label ${label} at ${position + shiftOf(model)} is not ${outputs}`
    }
    total++
  }
  return total === 0 && labelled ? "none of its tokens is supervised, so nothing can be learned from it" : undefined
}

/**
 * Fails with the first example that the model cannot compute a loss on. With `labelled` false a classifier's examples may
 * lack their class.
 */
export const check: (
  model: Model,
  examples: ReadonlyArray<Example>,
  labelled?: boolean
) => Effect.Effect<void, InvalidExample | Tokenizer.TokenOutOfRange> = Effect.fnUntraced(
  function*(model: Model, examples: ReadonlyArray<Example>, labelled: boolean = true) {
    if (examples.length === 0) return yield* new InvalidExample({ example: -1, reason: "there is none" })
    yield* Tokenizer.checkRange(examples.map(({ tokens }) => tokens), model.vocabularySize)
    for (const [index, example] of examples.entries()) {
      const reason = flaw(model, example, labelled)
      if (reason !== undefined) return yield* new InvalidExample({ example: index, reason })
    }
  }
)

/** From how many positions of an example a prediction is made. */
export const predictions = (model: Pick<Model, "head">, example: Example): number =>
  answersOnce(model) ? 1 : count(supervised(model, example))

/** The examples of each row of a batch: one, or several that are packed. */
export type Rows = ReadonlyArray<ArrayLike<number>>

/** A row for each of the listed examples. */
export const oneEach = (indices: ArrayLike<number>): Rows => Array.from(indices, (index) => [index])

/**
 * Lays the examples of each row end to end, pads rows on the right to the longest, and finds what is to be predicted where.
 * The target of an example without a label is 0.
 */
export const collate = (model: Model, examples: ReadonlyArray<Example>, batchRows: Rows): Batch => {
  const chosen = batchRows.map((row) => Array.from(row, (index) => examples[index]!))
  const lengths = Int32Array.from(chosen, (row) => row.reduce((sum, { tokens }) => sum + tokens.length, 0))
  const time = lengths.reduce((longest, length) => Math.max(longest, length), 0)
  const inputIds = new Int32Array(chosen.length * time).fill(model.paddingId ?? 0)
  const packed = chosen.some((row) => row.length > 1)
  const segments = packed ? new Int32Array(chosen.length * time).fill(-1) : undefined
  const rows: Array<number> = [], targets: Array<number> = [], scores: Array<number> = []
  for (const [row, packedExamples] of chosen.entries()) {
    let start = row * time
    for (const [segment, example] of packedExamples.entries()) {
      const { label, score, tokens } = example
      inputIds.set(tokens, start)
      segments?.fill(segment, start, start + tokens.length)
      if (answersOnce(model)) {
        rows.push(start + model.pooledPosition(tokens))
        targets.push(label ?? 0)
        scores.push(score ?? 0)
      } else {
        for (const [position, target] of supervised(model, example)) {
          rows.push(start + position)
          targets.push(target)
        }
      }
      start += tokens.length
    }
  }
  return {
    batch: chosen.length,
    time,
    inputIds,
    lengths,
    ...(segments === undefined ? {} : { segments }),
    rows: Int32Array.from(rows),
    targets: Int32Array.from(targets),
    scores: Float32Array.from(scores),
    tokens: lengths.reduce((sum, length) => sum + length, 0)
  }
}
