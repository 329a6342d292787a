import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { BadRow } from "../../src/dataset/DataError.ts"
import * as LabeledText from "../../src/dataset/LabeledText.ts"
import { LoadExamples } from "../../src/dataset/LoadExamples.ts"
import { OpenTest } from "../../src/dataset/OpenTest.ts"
import { SplitExamples, UnusableSplit } from "../../src/dataset/SplitExamples.ts"
import * as Local from "../../src/executor/Local.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { Selection } from "../../src/pipeline/Selection.ts"
import * as Source from "../../src/pipeline/Source.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import * as Columns from "../../src/store/Columns.ts"
import * as Parquet from "../../src/store/Parquet.ts"
import { Store } from "../../src/store/Store.ts"

const TestLayer = Layer.mergeAll(
  Store.layerMemory,
  Local.layer(),
  Layer.succeed(CodeIdentity, () => Effect.succeed("1"))
)
const fresh = <A, E, R>(effect: Effect.Effect<A, E, R>) => effect.pipe(Effect.provide(TestLayer, { local: true }))

const file = (name: string, text: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "attune-data-"))
      fs.writeFileSync(path.join(folder, name), text)
      return path.join(folder, name)
    }),
    (location) => Effect.sync(() => fs.rmSync(path.dirname(location), { recursive: true }))
  )

const errorOf = <A, E>(exit: Exit.Exit<A, E>): unknown => Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
const columns = { text: "subject", label: "queue" }

const tickets = Array.from(
  { length: 60 },
  (_, index) => `ticket ${index},${["account", "billing", "other"][index % 3]}`
)

describe("LoadExamples", () => {
  it.effect("reads the same examples from CSV and JSON lines, numbers as labels included", () =>
    Effect.gen(function*() {
      const csv = yield* file("tickets.csv", "subject,queue,extra\n\"log in, please\",1,x\nrefund,2,y\n")
      const jsonl = yield* file(
        "tickets.jsonl",
        "{\"subject\":\"log in, please\",\"queue\":1}\n{\"subject\":\"refund\",\"queue\":2}\n"
      )
      const fromCsv = yield* Pipeline.run(LoadExamples({ file: Source.file(csv) }, columns))
      const fromJsonl = yield* Pipeline.run(LoadExamples({ file: Source.file(jsonl) }, columns))
      assert.deepStrictEqual(yield* Artifact.readTable(LabeledText.LabeledText, fromCsv.examples), [
        { text: "log in, please", label: "1" },
        { text: "refund", label: "2" }
      ])
      assert.strictEqual(fromJsonl.examples.digest, fromCsv.examples.digest)
      const both = yield* Pipeline.run(
        LoadExamples({ files: Node.all([Source.file(csv), Source.file(jsonl)]) }, columns)
      )
      assert.strictEqual(both.examples.rows, 4)
    }).pipe(fresh))

  it.effect("reads Parquet, with labels of text or of whole numbers", () =>
    Effect.gen(function*() {
      const Text = Schema.Struct({ subject: Schema.String, queue: Schema.String })
      const Numbered = Schema.Struct({ subject: Schema.String, queue: Schema.Int })
      const parquet = Effect.fnUntraced(
        function*<R extends Columns.RowSchemaLike>(row: R, rows: ReadonlyArray<R["Type"]>) {
          const location = yield* file("tickets.parquet", "")
          fs.writeFileSync(location, Parquet.encode(yield* Columns.fromRows(row, rows)))
          const { examples } = yield* Pipeline.run(LoadExamples({ file: Source.file(location) }, columns))
          return yield* Artifact.readTable(LabeledText.LabeledText, examples)
        }
      )
      assert.deepStrictEqual(yield* parquet(Text, [{ subject: "refund", queue: "billing" }]), [
        { text: "refund", label: "billing" }
      ])
      assert.deepStrictEqual(yield* parquet(Numbered, [{ subject: "refund", queue: 7 }]), [{
        text: "refund",
        label: "7"
      }])
    }).pipe(fresh))

  it.effect("names file, row, line and field of a bad row, or leaves it out as asked", () =>
    Effect.gen(function*() {
      const csv = yield* file("tickets.csv", "subject,queue\nlog in,account\nrefund,\nhello,other\n")
      const load = (onBadRow?: "skip" | "collect") =>
        LoadExamples({ file: Source.file(csv) }, { ...columns, ...(onBadRow === undefined ? {} : { onBadRow }) })
      const error = errorOf(yield* Effect.exit(Pipeline.run(load())))
      assert.instanceOf(error, BadRow)
      assert.match((error as BadRow).message, /tickets\.csv, row 2 \(line 3\), field `queue`/)
      const skipped = yield* Pipeline.run(load("skip"))
      assert.deepStrictEqual([skipped.examples.rows, skipped.skipped, skipped.rejected.rows], [2, 1, 0])
      const collected = yield* Pipeline.run(load("collect"))
      assert.deepStrictEqual([collected.skipped, collected.rejected.rows], [1, 1])
    }).pipe(fresh))

  it.effect("says which columns there are when one is missing, and when the file is", () =>
    Effect.gen(function*() {
      const csv = yield* file("tickets.csv", "subject,team\nlog in,account\n")
      const error = errorOf(yield* Effect.exit(Pipeline.run(LoadExamples({ file: Source.file(csv) }, columns))))
      assert.match((error as Error).message, /queue/)
      assert.match((error as Error).message, /team/)
      const missing = errorOf(
        yield* Effect.exit(Pipeline.run(LoadExamples({ file: Source.file("/nowhere/tickets.csv") }, columns)))
      )
      assert.match((missing as Error).message, /Cannot read \/nowhere\/tickets\.csv: there is no such file/)
    }).pipe(fresh))
})

describe("SplitExamples", () => {
  const split = (location: string, by: Parameters<typeof SplitExamples>[1]["by"]) =>
    SplitExamples({ examples: Node.at(LoadExamples({ file: Source.file(location) }, columns), "examples") }, {
      by,
      seed: 3
    })

  it.effect("keeps every example on its side when rows are added or reordered", () =>
    Effect.gen(function*() {
      const before = yield* file("a.csv", ["subject,queue", ...tickets].join("\n"))
      const after = yield* file("b.csv", ["subject,queue", "a new one,other", ...tickets.toReversed()].join("\n"))
      const by = { random: { validation: 0.3, test: 0.2 } }
      const sides = Effect.fnUntraced(function*(location: string) {
        const { assignment, test, train, validation } = yield* Pipeline.run(split(location, by))
        assert.strictEqual(train.examples.rows + validation.examples.rows + test.examples.rows, assignment.rows)
        const columns = yield* Artifact.readColumns(assignment)
        return new Map(Array.from({ length: columns.length }, (_, row) => [
          columns.columns["example"]![row],
          columns.columns["side"]![row]
        ]))
      })
      const first = yield* sides(before), second = yield* sides(after)
      assert.strictEqual(second.size, 61)
      for (const [example, side] of first) assert.strictEqual(second.get(example), side)
    }).pipe(fresh))

  it.effect("gives so many examples of each label, and leaves the rest unused", () =>
    Effect.gen(function*() {
      const csv = yield* file("a.csv", ["subject,queue", ...tickets].join("\n"))
      const { test, train, unused, validation } = yield* Pipeline.run(
        split(csv, { perLabel: { train: 5, validation: 4, test: 3 } })
      )
      assert.deepStrictEqual(
        [train.examples.rows, validation.examples.rows, test.examples.rows, unused.rows],
        [15, 12, 9, 24]
      )
      assert.deepStrictEqual(train.labels, ["account", "billing", "other"])
      const tooMany = errorOf(
        yield* Effect.exit(Pipeline.run(split(csv, { perLabel: { train: 20, validation: 4, test: 3 } })))
      )
      assert.match((tooMany as Error).message, /found 20 rows, expected at least 27/)
      const empty = errorOf(yield* Effect.exit(Pipeline.run(split(csv, { random: { validation: 0, test: 0.2 } }))))
      assert.instanceOf(empty, UnusableSplit)
    }).pipe(fresh))

  it.effect("seals the test side until a selection is made", () =>
    Effect.gen(function*() {
      const csv = yield* file("a.csv", ["subject,queue", ...tickets].join("\n"))
      const node = split(csv, { stratified: { validation: 0.2, test: 0.2 } })
      const Choose = Stage.make("choose", {
        inputs: {},
        params: {},
        output: Selection,
        run: () => Effect.succeed(new Selection({ study: "s", trial: 1, metric: "accuracy", value: 0.5 }))
      })
      const opened = yield* Pipeline.run(OpenTest({ sealed: Node.at(node, "test"), selection: Choose({}) }))
      assert.strictEqual(opened.kind, "test")
      assert.strictEqual(opened.examples.rows, 12)
      assert.strictEqual(opened.openedFor.trial, 1)
    }).pipe(fresh))
})
