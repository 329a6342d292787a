/**
 * Texts as token ids, and the batches that a model computes on: padded how, and with which predictions counted.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Model, TokenBatch } from "./Architecture.ts"
import * as Tokenizer from "./Tokenizer.ts"

/** A text to learn from or to judge. */
export interface Example {
  /** Its token ids, without padding. */
  readonly tokens: Int32Array
  /** Its class, for a classifier. */
  readonly label?: number
  /** For a language model: what each position should be predicted as, -100 where it is not supervised. The tokens themselves unless given. */
  readonly labels?: Int32Array
}

/** The label of a position that is not supervised, as in PyTorch's cross-entropy. */
export const ignored = -100

/** A padded batch with the positions whose predictions count. */
export interface Batch extends TokenBatch {
  /** Rows of the flattened `[batch * time]` hidden states from which a prediction is made. */
  readonly rows: Int32Array
  /** What each of those rows should be predicted as. */
  readonly targets: Int32Array
  /** How many tokens are not padding. */
  readonly tokens: number
}

/** An example that cannot be learned from. */
export class InvalidExample extends Schema.TaggedError<InvalidExample>()("InvalidExample", {
  /** Counted from 0; -1 when it is the list that is at fault. */
  example: Schema.Int,
  reason: Schema.String
}) {
  override get message() {
    return this.example < 0 ? `The examples: ${this.reason}.` : `Example ${this.example}: ${this.reason}.`
  }
}

/** What each position of a language model's example should be predicted as, the first one excepted. */
const labelsOf = (example: Example): Int32Array => example.labels ?? example.tokens

const flaw = (model: Model, example: Example, labelled: boolean): string | undefined => {
  const { tokens } = example
  if (tokens.length === 0) return "it has no token"
  if (tokens.length > model.maximumLength) {
    return `it has ${tokens.length} tokens, and the model has positions for ${model.maximumLength}: truncate it`
  }
  if (model.head === "sequence-classification") {
    const { label } = example
    if (label === undefined) return labelled ? "it has no label" : undefined
    return Number.isInteger(label) && label >= 0 && label < model.outputs
      ? undefined
      : `its label ${label} is not one of the ${model.outputs} classes`
  }
  const labels = labelsOf(example)
  if (labels.length !== tokens.length) return `it has ${labels.length} labels for ${tokens.length} tokens`
  // The first position has nothing before it to predict it from.
  let supervised = 0
  for (let position = 1; position < labels.length; position++) {
    const label = labels[position]!
    if (label === ignored) continue
    if (label < 0 || label >= model.outputs) return `its label ${label} at ${position} is outside the vocabulary`
    supervised++
  }
  return supervised === 0 ? "none of its tokens is supervised, so nothing can be learned from it" : undefined
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
export const predictions = (model: Pick<Model, "head">, example: Example): number => {
  if (model.head === "sequence-classification") return 1
  const labels = labelsOf(example)
  let count = 0
  for (let position = 1; position < labels.length; position++) if (labels[position] !== ignored) count++
  return count
}

/**
 * Pads the listed examples on the right to the longest of them, and finds what is to be predicted where. The target of a
 * classifier's example without a class is 0.
 */
export const collate = (model: Model, examples: ReadonlyArray<Example>, indices: ArrayLike<number>): Batch => {
  const chosen = Array.from(indices, (index) => examples[index]!)
  const time = chosen.reduce((longest, { tokens }) => Math.max(longest, tokens.length), 0)
  const inputIds = new Int32Array(chosen.length * time).fill(model.paddingId ?? 0)
  const lengths = Int32Array.from(chosen, ({ tokens }) => tokens.length)
  const rows: Array<number> = [], targets: Array<number> = []
  for (const [row, example] of chosen.entries()) {
    inputIds.set(example.tokens, row * time)
    if (model.head === "sequence-classification") {
      rows.push(row * time + model.pooledPosition(example.tokens))
      targets.push(example.label ?? 0)
      continue
    }
    const labels = labelsOf(example)
    for (let position = 1; position < labels.length; position++) {
      if (labels[position] === ignored) continue
      rows.push(row * time + position - 1)
      targets.push(labels[position]!)
    }
  }
  return {
    batch: chosen.length,
    time,
    inputIds,
    lengths,
    rows: Int32Array.from(rows),
    targets: Int32Array.from(targets),
    tokens: lengths.reduce((sum, length) => sum + length, 0)
  }
}
