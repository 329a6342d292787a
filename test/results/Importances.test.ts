import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as Importances from "../../src/results/Importances.ts"
import * as ResultTable from "../../src/results/ResultTable.ts"
import * as Tables from "../../src/results/Tables.ts"
import * as Trials from "../../src/results/Trials.ts"
import * as Sobol from "../../src/search/samplers/Sobol.ts"
import type * as Scheduler from "../../src/search/Scheduler.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import * as Columns from "../../src/store/Columns.ts"
import { onDisk, record } from "./studies.ts"

class Diverged extends Schema.TaggedError<Diverged>()("Diverged", { rate: Schema.Finite }) {}

const Train = Stage.make("train", {
  inputs: {},
  params: { rate: Schema.Finite, momentum: Schema.Finite, width: Schema.Int, steps: Schema.Finite },
  output: Schema.Struct({ loss: Schema.Finite, accuracy: Schema.Finite, size: Schema.Finite }),
  error: Diverged,
  run: (_, { momentum, rate, steps, width }) =>
    rate > 0.9
      ? Effect.fail(new Diverged({ rate }))
      : Effect.succeed({
        // What a trial has at the first rung is far worse than what any has at the last.
        loss: 4 / steps + (rate - 0.2) ** 2 + 0.2 * (momentum - 0.5) ** 2,
        accuracy: 1 - (rate - 0.2) ** 2,
        size: width
      })
})

const space = Space.make({
  rate: Space.uniform(0, 1),
  width: Space.integer(1, 16),
  optimizer: Space.branches({ plain: {}, heavy: { momentum: Space.uniform(0, 1) } }, { default: "plain" }),
  nothing: Space.choice(["a", "b", "c"]),
  constant: Space.fixed(7)
})

const study = (name: string, trials = 40, scheduler: Scheduler.Scheduler = FullBudget.make(4)) =>
  Study.make(name, {
    space,
    sampler: Sobol.make(),
    scheduler,
    trials,
    objectives: { loss: "minimize", accuracy: "maximize" },
    limits: { size: { max: 12 } },
    trial: ({ optimizer, rate, width }, { budgets }) =>
      Train({}, { rate, width, steps: budgets.at(-1)!, momentum: optimizer._tag === "heavy" ? optimizer.momentum : 0 })
  })

describe("Importances", () => {
  it.effect("put the hyperparameter first that the objective depends on, by either method", () =>
    onDisk(Effect.gen(function*() {
      const { outcome } = yield* record(study("search"))
      const failed = outcome.trials.filter(({ status }) => status === "failed").length
      assert.isAbove(failed, 0)
      for (const method of ["ped-anova", "fanova"] as const) {
        const found = yield* Importances.of("search", { method })
        const { direction, expected, importances, metric, trials } = found
        assert.deepStrictEqual([metric, direction, trials, found.failed, expected], ["loss", "minimize", 40, failed, 0])
        assert.sameMembers(importances.map(({ name }) => name), [
          "rate",
          "width",
          "optimizer",
          "optimizer.heavy.momentum",
          "nothing"
        ])
        assert.strictEqual(importances[0]?.name, "rate")
        assert.isAbove(importances[0]!.importance, 0.5)
        if (found.method === "fanova") assert.strictEqual(found.interactions.length, 5)
      }
    })))

  it.effect("are of the metric that is asked for, in the direction that the study gives it", () =>
    onDisk(Effect.gen(function*() {
      yield* record(study("search"))
      const size = yield* Importances.of("search", { metric: "size" })
      assert.deepStrictEqual([size.importances[0]?.name, size.direction], ["width", "minimize"])
      const accuracy = yield* Importances.of("search", { metric: "accuracy" })
      assert.deepStrictEqual([accuracy.importances[0]?.name, accuracy.direction], ["rate", "maximize"])
      const error = yield* Effect.flip(Importances.of("search", { metric: "f1" }))
      assert(error._tag === "NoSuchMetric")
      assert.deepStrictEqual(error.metrics, ["loss", "accuracy", "size"])
    })))

  it.effect("compare trials of different budgets by what is expected of them at the highest", () =>
    onDisk(Effect.gen(function*() {
      // Half of the trials go on. Were the losses taken as they are, to be among the best would mean to have gone on.
      const { outcome } = yield* record(
        study("halved", 40, SuccessiveHalving.make({ budgets: [1, 4], reduction: 2 }))
      )
      const stopped = outcome.trials.filter(({ status }) => status === "stopped").length
      assert.isAbove(stopped, 10)
      const halved = yield* Importances.of("halved")
      assert.strictEqual(halved.expected, stopped)
      assert.strictEqual(halved.importances[0]?.name, "rate")
      // The loss falls by the same for all from rung to rung, so what is expected is what would have been.
      yield* record(study("full"))
      const full = yield* Importances.of("full")
      assert.strictEqual(full.expected, 0)
      for (const { importance, name } of full.importances) {
        const other = halved.importances.find((each) => each.name === name)
        assert.closeTo(other!.importance, importance, 1e-6, name)
      }
    })))

  it.effect("say that there are too few trials, that the space is not kept, or that there is no such study", () =>
    onDisk(Effect.gen(function*() {
      yield* record(study("short", 6))
      const few = yield* Effect.flip(Importances.of("short"))
      assert(few._tag === "NoImportance")
      assert.strictEqual(few.reason, "too few trials")
      const missing = yield* Effect.flip(Importances.of("shrot"))
      assert(missing._tag === "NoStoredStudy")
      assert.deepStrictEqual(missing.studies, ["short"])
      // As an earlier version wrote it: without notes, and without the columns that are newer.
      const { columns } = (yield* ResultTable.read(Trials.table, Tables.fileOfStudy(Trials.table, "short")))!
      const newer = ["feasible", "on_front", "repeats", "metrics"]
      const older = columns.schema.fields.filter(({ name }) => !newer.includes(name))
      yield* ResultTable.publish(
        { table: Trials.table, file: Tables.fileOfStudy(Trials.table, "old"), study: "old" },
        "source",
        Effect.succeed(ResultTable.fromRecords(older, Columns.toRecords(columns)))
      )
      const unknown = yield* Effect.flip(Importances.of("old"))
      assert.strictEqual(unknown._tag, "NoStoredSpace")
      assert.include(unknown.message, "Run the pipeline again")
    })))
})
