/**
 * The check of a split for texts that are on more than one side, as a stage.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as LabeledText from "./LabeledText.ts"
import * as Leakage from "./Leakage.ts"
import * as LeakingPairs from "./LeakingPairs.ts"
import { UnusableSplit } from "./SplitExamples.ts"
import { SealedTestSplit, TrainSplit, ValidationSplit } from "./Splits.ts"

/** How many rows of each side have their like on another. */
const Leaking = Schema.Struct({ train: Schema.Int, validation: Schema.Int, test: Schema.Int })

/** What a check found, in numbers. */
export const LeakageSummary = Schema.Struct({
  /** By kind and pair of sides, a side with itself included. */
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
    const rest = this.counts.some(({ sideA, sideB }) => sideA !== "train" && sideB !== "train")
      ? " That leaves those between validation and test."
      : ""
    return `Texts are on more than one side of the split: ${train} training, ${validation} validation and ${test} test `
      + `rows have their like on another side. Pairs: ${found.join(", ")}.\n${this.pairs.map(describe).join("\n")}\n`
      + `Leave them out of training with \`policy: "drop-from-train"\`.${rest} Or split so that what belongs together `
      + "stays together, as `Split.grouped` does by author, document or template."
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
  comparisons: Stage.withDefault(Schema.Int.check(Schema.isGreaterThan(0)), 200_000_000)
}

const CheckError = Schema.Union([LeakageFound, Leakage.TooAlike, UnusableSplit])

/** What every check is like, whatever the rows are. */
const checking = {
  error: CheckError,
  // What the data are, they are again.
  keepFailure: () => true
}

const report = {
  report: Artifact.table(LeakingPairs.Pair),
  summary: LeakageSummary
}

type Policy = "report" | "fail" | "drop-from-train"

/** Compares the rows of the sides and does what the policy says, up to what becomes of the training rows. */
const inspect = Effect.fnUntraced(function*(
  rows: Leakage.Rows,
  { policy, ...options }: Leakage.Options & { readonly policy: Policy }
) {
  const { banding, counts, leaking, missedAtThreshold, pairs } = yield* Leakage.check(rows, options)
  const numbers = { train: leaking.train.length, validation: leaking.validation.length, test: leaking.test.length }
  const between = <T extends { readonly sideA: string; readonly sideB: string }>(all: ReadonlyArray<T>) =>
    all.filter(({ sideA, sideB }) => sideA !== sideB)
  if (policy === "fail" && numbers.train + numbers.validation + numbers.test > 0) {
    return yield* new LeakageFound({
      leaking: numbers,
      counts: between(counts).filter(({ pairs }) => pairs > 0),
      pairs: between(pairs).slice(0, shownInError)
    })
  }
  const dropped = new Set(policy === "drop-from-train" ? leaking.train : [])
  return {
    dropped,
    report: yield* Artifact.writeTable("leakage", LeakingPairs.Pair, pairs),
    summary: {
      counts,
      leaking: numbers,
      dropped: dropped.size,
      bands: banding.bands,
      rowsPerBand: banding.rows,
      missedAtThreshold
    }
  }
})

/** The rows that are not dropped, unless none is left. */
const keep = Effect.fnUntraced(function*<Row>(rows: ReadonlyArray<Row>, dropped: ReadonlySet<number>) {
  const kept = rows.filter((_, index) => !dropped.has(index))
  if (kept.length > 0) return kept
  return yield* new UnusableSplit({ side: "train", detail: "has only examples that are on another side, too" })
})

const ofLabeledText = (row: LabeledText.LabeledText): LeakingPairs.Row => ({
  example: LabeledText.identity(row),
  text: row.text,
  label: row.label
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
 * Pairs at the threshold are missed with the probability `missedAtThreshold`, which
 * `permutations` decides. Texts that nearly all look alike would have to be
 * compared all with all: after so many `comparisons` the stage fails.
 */
export const CheckLeakage = Stage.make("check-leakage", {
  ...checking,
  inputs: { train: TrainSplit, validation: ValidationSplit, sealed: Schema.optionalKey(SealedTestSplit) },
  params,
  output: Schema.Struct({ train: TrainSplit, ...report }),
  run: Effect.fn("CheckLeakage")(function*({ sealed, train, validation }, options) {
    const rows = yield* Artifact.readTable(LabeledText.LabeledText, train.examples)
    const validationRows = yield* Artifact.readTable(LabeledText.LabeledText, validation.examples)
    const testRows = sealed && (yield* Artifact.readTable(LabeledText.LabeledText, sealed.examples))
    const { dropped, report, summary } = yield* inspect({
      train: rows.map(ofLabeledText),
      validation: validationRows.map(ofLabeledText),
      test: testRows?.map(ofLabeledText)
    }, options)
    if (dropped.size === 0) return { train, report, summary }
    const kept = yield* keep(rows, dropped)
    const trained = new Set(kept.map(({ label }) => label))
    const lost = rows.find(({ label }) => !trained.has(label))
    if (lost !== undefined) {
      const detail = `has no example of the label "${lost.label}" but those that are on another side, too`
      return yield* new UnusableSplit({ side: "train", detail })
    }
    const examples = yield* Artifact.writeTable("train", LabeledText.LabeledText, kept)
    return { train: new TrainSplit({ examples, labels: train.labels }), report, summary }
  })
})
