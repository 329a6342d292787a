import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Schema } from "effect"
import * as Local from "../../src/executor/Local.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import type { StudyOutcome } from "../../src/pipeline/Progress.ts"
import { Selection } from "../../src/pipeline/Selection.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import { Store } from "../../src/store/Store.ts"
import { StoreError } from "../../src/store/StoreError.ts"
import {
  type Checkpoint,
  type DatasetNotFound,
  Diverged,
  Evaluate,
  FineTune,
  Gpu,
  Load,
  observe,
  Split,
  TestLayer
} from "../pipeline/stages.ts"

const fresh = <A, E, R>(effect: Effect.Effect<A, E, R>) => effect.pipe(Effect.provide(TestLayer, { local: true }))
const errorOf = <A, E>(exit: Exit.Exit<A, E>): unknown => Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

const space = Space.make({
  learningRate: Space.logUniform(1e-3, 2, { default: 0.1 }),
  optimizer: Space.choice(["adamw", "sgd"])
})

/** What the compiler lets nobody write. */
const unchecked = (options: object) =>
  Study.make("unchecked", {
    space,
    scheduler: SuccessiveHalving.make({ budgets: [1, 3] }),
    trials: 2,
    trial: () =>
      Evaluate({
        model: FineTune(
          { train: Node.at(Split({ dataset: Load({}, { name: "toy" }) }, { fraction: 0.25 }), "train") },
          {
            learningRate: 0.1,
            epochs: 1,
            optimizer: "sgd"
          }
        ),
        validation: Node.at(Split({ dataset: Load({}, { name: "toy" }) }, { fraction: 0.25 }), "validation")
      }),
    ...options as { readonly minimize: "loss" }
  })

const study = (options: { readonly trials?: number; readonly maxRate?: number } = {}) => {
  const split = Split({ dataset: Load({}, { name: "toy" }) }, { fraction: 0.25 })
  return Study.make("search", {
    space: options.maxRate === undefined
      ? space
      : Space.make({
        learningRate: Space.logUniform(1.5, options.maxRate),
        optimizer: Space.choice(["adamw", "sgd"])
      }),
    scheduler: SuccessiveHalving.make({ budgets: [1, 3, 9] }),
    trials: options.trials ?? 9,
    minimize: "loss",
    seed: 4,
    trial: (params, { budgets }) => {
      let checkpoint: Node.Node<Checkpoint, Diverged | DatasetNotFound, Gpu> | undefined
      for (const epochs of budgets) {
        checkpoint = FineTune({ train: Node.at(split, "train"), checkpoint }, { ...params, epochs })
      }
      return Evaluate({ model: checkpoint!, validation: Node.at(split, "validation") })
    }
  })
}

describe("Study", () => {
  it("names the numbers that there are where its objective is none of them, for who does not compile", () => {
    for (const minimize of ["accuracy", "nested", "nested.recall", "loss.mean", "label", ""]) {
      assert.throws(() => unchecked({ minimize }), /study, minimize: found .* one of loss, nested\.accuracy$/)
    }
    assert.throws(() => unchecked({}), /study, objective: found none/)
    assert.doesNotThrow(() => unchecked({ maximize: "nested.accuracy" }))
  })

  it.effect("promotes from the checkpoint of the rung below, and never trains a prefix twice", () =>
    Effect.gen(function*() {
      const { count, events, exit } = yield* observe(study())
      if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
      const { best, selection, trials } = exit.value
      const failed = trials.filter((trial) => trial.status === "failed").length
      assert.strictEqual(count("stage.completed", "load"), 1)
      assert.strictEqual(count("stage.completed", "split"), 1)
      // 9 trials on the first rung, 3 of them on the second, 1 on the last.
      assert.strictEqual(count("trial.completed") + count("trial.failed"), 13)
      assert.strictEqual(count("stage.completed", "fine-tune"), 13 - failed)
      assert.strictEqual(trials.filter((trial) => trial.status === "completed").length, 1)
      assert.strictEqual(best.budget, 9)
      assert.strictEqual(best.value, best.output.loss)
      assert.deepStrictEqual(trials[0]!.params, Space.defaults(space))
      assert.instanceOf(selection, Selection)
      assert.strictEqual(selection.trial, best.trial)
      const outcome = events.find((event) => event._tag === "study.completed")!.outcome
      const winner = outcome.trials[best.trial]!
      assert.deepStrictEqual(winner.metrics, { loss: best.value, "nested.accuracy": best.output.nested.accuracy })
      // Shared stages belong to no trial; the winner was trained and evaluated at each of three rungs.
      assert.deepStrictEqual(
        winner.runs.map((run) => run.stage),
        Array.from({ length: 3 }, () => ["fine-tune", "evaluate"]).flat()
      )
      // Of a trial that failed the run that did so is kept too.
      for (const { runs, status } of outcome.trials) {
        if (status === "failed") assert.deepStrictEqual(runs.map((run) => run.outcome._tag), ["failure"])
      }
    }).pipe(fresh))

  it.effect("repeats nothing on a rerun, and only what a changed space asks for", () =>
    Effect.gen(function*() {
      const first = yield* observe(study())
      const second = yield* observe(study())
      assert.strictEqual(second.count("stage.started"), 0)
      assert.deepStrictEqual(second.exit, first.exit)
      const more = yield* observe(study({ trials: 12 }))
      assert.strictEqual(more.count("stage.completed", "load"), 0)
      assert.isAbove(more.count("stage.cached", "fine-tune"), 8)
    }).pipe(fresh))

  it.effect("gives the same study on one slot and on eight", () =>
    Effect.gen(function*() {
      const outcome = (cpu: number) =>
        observe(study()).pipe(
          Effect.map(({ events }) => {
            const found: StudyOutcome = events.find((event) => event._tag === "study.completed")!.outcome
            return found.trials.map(({ runs, ...trial }) => ({ ...trial, keys: runs.map((run) => run.key) }))
          }),
          Effect.provide(Layer.mergeAll(
            Store.layerMemory,
            Local.layer({ cpu }),
            Gpu.layerFake,
            Layer.succeed(CodeIdentity, () => Effect.succeed("1"))
          ))
        )
      assert.deepStrictEqual(yield* outcome(1), yield* outcome(8))
    }))

  it.effect("records diverging trials, and fails only when all do", () =>
    Effect.gen(function*() {
      const some = yield* observe(study({ trials: 30 }))
      if (Exit.isFailure(some.exit)) throw new Error(Cause.pretty(some.exit.cause))
      const failures = some.exit.value.trials.filter((trial) => trial.status === "failed")
      assert.isAbove(failures.length, 0)
      for (const failure of failures) {
        assert.isAbove(failure.params.learningRate, 1)
        assert.match(failure.error ?? "", /Diverged/)
        assert.isNull(failure.value)
      }
      const all = errorOf((yield* observe(study({ maxRate: 3 }))).exit)
      assert.instanceOf(all, Study.NoTrialSucceeded)
      assert.match((all as Study.NoTrialSucceeded).message, /All 9 trials of the study "search" failed.*Diverged/)
    }).pipe(fresh))

  it.effect("reports a trial whose objective became NaN as failed, with the output of the rung before", () =>
    Effect.gen(function*() {
      const Unstable = Stage.make("unstable", {
        inputs: {},
        params: { learningRate: Schema.Finite, epochs: Schema.Int },
        output: Schema.Struct({ loss: Schema.Number, epochs: Schema.Int }),
        run: (_, { epochs, learningRate }) =>
          Effect.succeed({ loss: epochs > 1 && learningRate > 0.5 ? NaN : 1 - learningRate, epochs })
      })
      const { exit } = yield* observe(Study.make("unstable", {
        space: Space.make({ learningRate: Space.uniform(0, 1) }),
        scheduler: SuccessiveHalving.make({ budgets: [1, 3], reduction: 2 }),
        trials: 8,
        minimize: "loss",
        trial: ({ learningRate }, { budgets }) => Unstable({}, { learningRate, epochs: budgets.at(-1)! })
      }))
      if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
      const unstable = exit.value.trials.filter((trial) => trial.status === "failed")
      assert.isAbove(unstable.length, 0)
      for (const { error, output, value } of unstable) {
        assert.deepStrictEqual(output, { loss: value!, epochs: 1 })
        assert.match(error ?? "", /NaN/)
      }
      assert.isAtMost(exit.value.best.params.learningRate, 0.5)
    }).pipe(fresh))

  it.effect("does not take a broken store for a failed trial", () =>
    Effect.gen(function*() {
      const Broken = Stage.make("broken", {
        inputs: {},
        params: { learningRate: Schema.Finite },
        output: Schema.Struct({ loss: Schema.Finite }),
        error: Diverged,
        run: () =>
          Effect.fail(new StoreError({ operation: "write", path: "x", reason: "full", detail: "no space left" }))
      })
      const node = Study.make("search", {
        space: Space.make({ learningRate: Space.uniform(0, 1) }),
        scheduler: SuccessiveHalving.make({ budgets: [1] }),
        trials: 4,
        minimize: "loss",
        trial: (params) => Broken({}, params)
      })
      assert.instanceOf(errorOf((yield* observe(node)).exit), StoreError)
    }).pipe(fresh))

  it.effect("plans as far as its trials are cached", () =>
    Effect.gen(function*() {
      const before = yield* Pipeline.plan(study())
      assert.deepStrictEqual(before.map(({ node, status }) => `${node.name} ${status._tag}`).slice(0, 3), [
        "load run",
        "split unknown",
        "fine-tune unknown"
      ])
      yield* Pipeline.run(study())
      const after = yield* Pipeline.plan(study())
      assert.isTrue(after.length > 20 && after.every(({ status }) => status._tag === "cached"))
      const more = yield* Pipeline.plan(study({ trials: 12 }))
      const toRun = more.filter(({ status }) => status._tag === "run")
      assert.isAbove(toRun.length, 0)
      assert.isTrue(toRun.every(({ node, owner }) => node.name === "fine-tune" && /^search trial \d+$/.test(owner)))
      assert.isTrue(more.some(({ node, status }) => node.name === "search" && status._tag === "unknown"))
    }).pipe(fresh))

  it.effect("nests", () =>
    Effect.gen(function*() {
      const dataset = Load({}, { name: "toy" })
      const Pass = Stage.make("pass", {
        inputs: { value: Schema.Finite },
        params: {},
        output: Schema.Struct({ loss: Schema.Finite }),
        run: ({ value }) => Effect.succeed({ loss: value })
      })
      const outer = Study.make("outer", {
        space: Space.make({ fraction: Space.uniform(0.2, 0.8) }),
        scheduler: SuccessiveHalving.make({ budgets: [1] }),
        trials: 3,
        minimize: "loss",
        trial: ({ fraction }) => {
          const split = Split({ dataset }, { fraction })
          const inner = Study.make("inner", {
            space,
            scheduler: SuccessiveHalving.make({ budgets: [1] }),
            trials: 4,
            minimize: "loss",
            trial: (params) =>
              Evaluate({
                model: FineTune({ train: Node.at(split, "train") }, { ...params, epochs: 1 }),
                validation: Node.at(split, "validation")
              })
          })
          return Pass({ value: Node.at(inner, "best", "value") })
        }
      })
      const { count, exit } = yield* observe(outer)
      if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
      assert.strictEqual(exit.value.trials.length, 3)
      assert.strictEqual(count("stage.completed", "load"), 1)
      assert.strictEqual(count("study.completed"), 4)
    }).pipe(fresh))
})
