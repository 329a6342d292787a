/**
 * The check of a split for texts that are on more than one side, as a stage for
 * each kind of example.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import type * as Columns from "../store/Columns.ts"
import * as Conversation from "./Conversation.ts"
import * as LabeledText from "./LabeledText.ts"
import * as Leakage from "./Leakage.ts"
import * as LeakingPairs from "./LeakingPairs.ts"
import * as ScoredText from "./ScoredText.ts"
import { UnusableSplit } from "./SplitRows.ts"
import * as Splits from "./Splits.ts"
import * as TaggedWords from "./TaggedWords.ts"

/** How many rows of each side have their like on another. */
const Leaking = Schema.Struct({ train: Schema.Int, validation: Schema.Int, test: Schema.Int })

/** What a check found, in numbers. */
export const LeakageSummary = Schema.Struct({
  /** By kind and pair of sides, a side with itself included; those that have any pair. */
  counts: Schema.Array(LeakingPairs.Count),
  leaking: Leaking,
  /** How many training rows were left out. */
  dropped: Schema.Int,
  /** Signatures were cut into so many bands, each of so many rows. */
  bands: Schema.Int,
  rowsPerBand: Schema.Int,
  /** The probability that a pair just at the threshold is missed. It falls as the similarity rises. */
  missedAtThreshold: Schema.Finite
})
export type LeakageSummary = typeof LeakageSummary.Type

const describe = ({ exampleA, exampleB, kind, sideA, sideB, similarity, textA, textB }: LeakingPairs.Pair): string => {
  const name = (side: string, example: string, text: string | null) =>
    text === null ? `${side} example ${example.slice(0, 12)}` : `${side} ${JSON.stringify(text)}`
  return `  ${name(sideA, exampleA, textA)} and ${name(sideB, exampleB, textB)} (${kind}, similarity ${
    similarity.toFixed(2)
  })`
}

/** Rows are on more than one side of a split, where the policy is that none may be. */
export class LeakageFound extends Schema.TaggedError<LeakageFound>()("LeakageFound", {
  leaking: Leaking,
  /** The pairs of sides and kinds that have any. */
  counts: Schema.Array(LeakingPairs.Count),
  /** The first pairs. */
  pairs: Schema.Array(LeakingPairs.Pair)
}) {
  override get message(): string {
    const { test, train, validation } = this.leaking
    const found = this.counts.map(({ kind, pairs, sideA, sideB }) => `${pairs} ${kind} between ${sideA} and ${sideB}`)
    const withTrain = this.counts.some(({ sideA, sideB }) => sideA === "train" || sideB === "train")
    const withoutTrain = this.counts.some(({ sideA, sideB }) => sideA !== "train" && sideB !== "train")
    const others = withoutTrain ? ", but for those between validation and test" : ""
    const leaveOut = withTrain ? ` Or leave them out of training with \`policy: "drop-from-train"\`${others}.` : ""
    return `Texts are on more than one side of the split: ${train} training, ${validation} validation and ${test} test `
      + `rows have their like on another side. Pairs: ${found.join(", ")}.\n${this.pairs.map(describe).join("\n")}\n`
      + "Split so that what belongs together stays together: `by` with `grouped`, by author, document or template."
      + leaveOut
  }
}

/** How many pairs an error shows. */
const shownInError = 3

const params = {
  threshold: Stage.withDefault(Schema.Finite.check(Schema.isBetween({ minimum: 0.1, maximum: 1 })), 0.8),
  shingle: Stage.withDefault(
    Schema.Struct({
      of: Schema.Literals(["characters", "words"]),
      length: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 64 }))
    }),
    { of: "characters", length: 5 }
  ),
  punctuation: Stage.withDefault(Schema.Literals(["keep", "ignore"]), "keep"),
  containedFrom: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(8))),
  policy: Stage.withDefault(Schema.Literals(["report", "fail", "drop-from-train"]), "report"),
  listed: Stage.withDefault(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 })), 100),
  permutations: Stage.withDefault(Schema.Int.check(Schema.isBetween({ minimum: 16, maximum: 1024 })), 128),
  seed: Stage.withDefault(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)), 0),
  comparisons: Stage.withDefault(Schema.Int.check(Schema.isGreaterThan(0)), 100_000_000)
}

/** What every check is like, whatever the rows are. */
const checking = {
  params,
  error: Schema.Union([LeakageFound, Leakage.TooAlike, UnusableSplit]),
  // What these data are, they are again.
  keepFailure: () => true
}

const report = {
  report: Artifact.table(LeakingPairs.Pair),
  summary: LeakageSummary
}

type Options = Leakage.Options & { readonly policy: "report" | "fail" | "drop-from-train" }

/** A side of a split, as far as its rows go. */
interface Side<Row> {
  readonly examples: Artifact.Table<Row>
}

const between = <T extends { readonly sideA: string; readonly sideB: string }>(all: ReadonlyArray<T>) =>
  all.filter(({ sideA, sideB }) => sideA !== sideB)

/**
 * Compares the rows of the sides, each by what `view` makes of it, and does what
 * the policy says. `kept` are the training rows that are left, where any was
 * dropped; `unusable` says what they lack.
 */
const inspect = Effect.fnUntraced(function*<S extends Columns.RowSchemaLike>(
  { sealed, train, validation }: {
    readonly train: Side<S["Type"]>
    readonly validation: Side<S["Type"]>
    readonly sealed?: Side<S["Type"]>
  },
  { row, unusable, view }: {
    readonly row: S
    readonly view: (row: S["Type"]) => LeakingPairs.Row
    readonly unusable?: (rows: ReadonlyArray<S["Type"]>, kept: ReadonlyArray<S["Type"]>) => string | undefined
  },
  { policy, ...options }: Options
) {
  const rows = yield* Artifact.readTable(row, train.examples)
  const validationRows = yield* Artifact.readTable(row, validation.examples)
  const testRows = sealed && (yield* Artifact.readTable(row, sealed.examples))
  const { banding, counts, leaking, missedAtThreshold, pairs } = yield* Leakage.check({
    train: rows.map(view),
    validation: validationRows.map(view),
    test: testRows?.map(view)
  }, options)
  const numbers = { train: leaking.train.length, validation: leaking.validation.length, test: leaking.test.length }
  if (policy === "fail" && numbers.train + numbers.validation + numbers.test > 0) {
    return yield* new LeakageFound({
      leaking: numbers,
      counts: between(counts).filter(({ pairs }) => pairs > 0),
      pairs: between(pairs).slice(0, shownInError)
    })
  }
  const dropped = new Set(policy === "drop-from-train" ? leaking.train : [])
  const kept = rows.filter((_, index) => !dropped.has(index))
  if (dropped.size > 0) {
    const lacks = kept.length === 0 ? "has no example" : unusable?.(rows, kept)
    if (lacks !== undefined) {
      return yield* new UnusableSplit({ side: "train", detail: `${lacks} but such as are on another side, too` })
    }
  }
  return {
    kept: dropped.size === 0 ? undefined : yield* Artifact.writeTable("train", row, kept),
    report: yield* Artifact.writeTable("leakage", LeakingPairs.Pair, pairs),
    summary: {
      counts: counts.filter(({ pairs }) => pairs > 0),
      leaking: numbers,
      dropped: dropped.size,
      bands: banding.bands,
      rowsPerBand: banding.rows,
      missedAtThreshold
    }
  }
})

/**
 * Looks for texts that are on more than one side of a split of labelled texts, or
 * more than once on one side: equal ones, nearly equal ones, and whole texts
 * inside others.
 *
 * Texts are compared without regard to letter case, white space and Unicode form;
 * with `punctuation: "ignore"` to punctuation either. Two are nearly equal when the
 * Jaccard similarity of their sets of shingles is at least `threshold`; `shingle`
 * says what a shingle is. With `containedFrom` texts of at least so many
 * characters are sought inside others, too.
 *
 * `policy` says what happens when a text is on more than one side:
 * - `report`: nothing. `train` comes out as it went in.
 * - `fail`: the stage fails, saying how many and which.
 * - `drop-from-train`: `train` comes out without the rows that have their like on
 *   another side. A label that would lose all its training rows is an error.
 *
 * `report` lists up to `listed` pairs of each kind for each pair of sides,
 * conflicting labels first; `summary` counts all. The sealed test is read here, to
 * be compared; of its rows only numbers and digests come out.
 *
 * A pair just at the threshold is missed with the probability `missedAtThreshold`,
 * which `permutations` decides. Texts that nearly all look alike would have to be
 * compared all with all: after so many `comparisons` the stage fails.
 */
export const CheckLeakage = Stage.make("check-leakage", {
  ...checking,
  inputs: {
    train: Splits.TrainSplit,
    validation: Splits.ValidationSplit,
    sealed: Schema.optionalKey(Splits.SealedTestSplit)
  },
  output: Schema.Struct({ train: Splits.TrainSplit, ...report }),
  run: Effect.fn("CheckLeakage")(function*(sides, options) {
    const { kept, report, summary } = yield* inspect(sides, {
      row: LabeledText.LabeledText,
      view: (row) => ({ example: LabeledText.identity(row), text: row.text, label: row.label }),
      unusable: (rows, kept) => {
        const trained = new Set(kept.map(({ label }) => label))
        const lost = rows.find(({ label }) => !trained.has(label))
        return lost === undefined ? undefined : `has no example of the label "${lost.label}"`
      }
    }, options)
    const { labels } = sides.train
    return {
      train: kept === undefined ? sides.train : new Splits.TrainSplit({ examples: kept, labels }),
      report,
      summary
    }
  })
})

/** What a chat's last answer answers, and the answer; for a completion what is completed, and by what. */
const promptOf = ({ messages }: Conversation.Conversation) => {
  const answer = messages.findLastIndex(({ role }) => role === "assistant" || role === "completion")
  // The system's instructions are often those of every chat.
  const asked = answer < 1 ? [] : messages.slice(0, answer).filter(({ role }) => role !== "system")
  return asked.length === 0 ? undefined : { asked, answer: messages[answer]!.content }
}

const textOf = (messages: ReadonlyArray<Conversation.Message>): string =>
  messages.map(({ content }) => content).join("\n")

/**
 * {@link CheckLeakage} for conversations. What is compared says `compare`:
 *
 * - `prompt`: what comes before the last answer, without the system's
 *   instructions. The answer takes the place of a label, so that equal prompts
 *   with different answers are counted as conflicting. Running text, which has no
 *   prompt, is compared whole.
 * - `whole`: all that is said, answers and instructions included.
 */
export const CheckLeakageOfConversations = Stage.make("check-leakage-of-conversations", {
  ...checking,
  inputs: {
    train: Splits.TrainConversations,
    validation: Splits.ValidationConversations,
    sealed: Schema.optionalKey(Splits.SealedTestConversations)
  },
  params: { ...params, compare: Stage.withDefault(Schema.Literals(["prompt", "whole"]), "prompt") },
  output: Schema.Struct({ train: Splits.TrainConversations, ...report }),
  run: Effect.fn("CheckLeakageOfConversations")(function*(sides, { compare, ...options }) {
    const { kept, report, summary } = yield* inspect(sides, {
      row: Conversation.Conversation,
      view: (row) => {
        const prompt = compare === "prompt" ? promptOf(row) : undefined
        return {
          example: Conversation.identity(row),
          text: textOf(prompt?.asked ?? row.messages),
          label: prompt?.answer ?? null
        }
      }
    }, options)
    return {
      train: kept === undefined ? sides.train : new Splits.TrainConversations({ examples: kept }),
      report,
      summary
    }
  })
})

/** {@link CheckLeakage} for scored texts. Labels that differ are scores that differ. */
export const CheckLeakageOfScores = Stage.make("check-leakage-of-scores", {
  ...checking,
  inputs: {
    train: Splits.TrainScores,
    validation: Splits.ValidationScores,
    sealed: Schema.optionalKey(Splits.SealedTestScores)
  },
  output: Schema.Struct({ train: Splits.TrainScores, ...report }),
  run: Effect.fn("CheckLeakageOfScores")(function*(sides, options) {
    const { kept, report, summary } = yield* inspect(sides, {
      row: ScoredText.ScoredText,
      view: (row) => ({ example: ScoredText.identity(row), text: row.text, label: String(row.score) })
    }, options)
    return { train: kept === undefined ? sides.train : new Splits.TrainScores({ examples: kept }), report, summary }
  })
})

/**
 * {@link CheckLeakage} for tagged words, which are compared as sentences. Labels that
 * differ are tags that differ. A tag that would lose all its training sentences is
 * an error.
 */
export const CheckLeakageOfTags = Stage.make("check-leakage-of-tags", {
  ...checking,
  inputs: {
    train: Splits.TrainTags,
    validation: Splits.ValidationTags,
    sealed: Schema.optionalKey(Splits.SealedTestTags)
  },
  output: Schema.Struct({ train: Splits.TrainTags, ...report }),
  run: Effect.fn("CheckLeakageOfTags")(function*(sides, options) {
    const { kept, report, summary } = yield* inspect(sides, {
      row: TaggedWords.TaggedWords,
      view: (row) => ({ example: TaggedWords.identity(row), text: row.words.join(" "), label: row.tags.join(" ") }),
      unusable: (rows, kept) => {
        const trained = new Set(kept.flatMap(({ tags }) => tags))
        const lost = rows.flatMap(({ tags }) => tags).find((tag) => !trained.has(tag))
        return lost === undefined ? undefined : `has no word with the tag "${lost}"`
      }
    }, options)
    const { labels } = sides.train
    return {
      train: kept === undefined ? sides.train : new Splits.TrainTags({ examples: kept, labels }),
      report,
      summary
    }
  })
})
