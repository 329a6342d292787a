import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Local from "../../src/executor/Local.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { type PipelineEvent, Progress } from "../../src/pipeline/Progress.ts"
import * as Query from "../../src/results/Query.ts"
import * as Tables from "../../src/results/Tables.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import { Store } from "../../src/store/Store.ts"
import { Evaluate, FineTune, Gpu, Load, Split } from "../pipeline/stages.ts"

const study = (name: string) => {
  const split = Split({ dataset: Load({}, { name }) }, { fraction: 0.25 })
  return Study.make("search", {
    space: Space.make({ learningRate: Space.uniform(0.1, 0.9) }),
    scheduler: FullBudget.make(1),
    trials: 3,
    minimize: "loss",
    trial: ({ learningRate }) =>
      Evaluate({
        model: FineTune({ train: Node.at(split, "train") }, { learningRate, epochs: 1, optimizer: "sgd" }),
        validation: Node.at(split, "validation")
      })
  })
}

const onDisk = <A, E>(effect: Effect.Effect<A, E, Store | Gpu | import("../../src/pipeline/Executor.ts").Executor>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "attune-recorded-"))),
    (root) =>
      effect.pipe(Effect.provide(Layer.mergeAll(
        Store.layer(root),
        Local.layer(),
        Gpu.layerFake,
        Layer.succeed(CodeIdentity, () => Effect.succeed("1"))
      ))),
    (root) => Effect.sync(() => fs.rmSync(root, { recursive: true, force: true }))
  )

describe("Tables.recorded", () => {
  it.effect("writes the tables of a pipeline that a program runs, and lets others listen too", () =>
    onDisk(Effect.gen(function*() {
      const events: Array<PipelineEvent["_tag"]> = []
      const value = yield* Tables.recorded(Pipeline.run(study("toy"))).pipe(
        Effect.provideService(Progress, (event) => Effect.sync(() => void events.push(event._tag)))
      )
      assert.include(events, "study.completed")
      const { rows } = yield* Query.run("select trial, value, len(runs) as runs from trials order by trial")
      assert.deepStrictEqual(rows, value.trials.map(({ trial, value }) => ({ trial, value, runs: 2n })))
      const counted = yield* Query.run("select count(*) as runs from runs")
      assert.deepStrictEqual(counted.rows, [{ runs: 8n }])
    })))

  it.effect("writes them after a failure as well, and reports that failure", () =>
    onDisk(Effect.gen(function*() {
      const train = Node.at(Split({ dataset: Load({}, { name: "toy" }) }, { fraction: 0.5 }), "train")
      const failing = FineTune({ train }, { learningRate: 2, epochs: 1, optimizer: "sgd" })
      const error = yield* Effect.flip(Tables.recorded(Pipeline.run(failing)))
      assert.strictEqual(error._tag, "Diverged")
      const { rows } = yield* Query.run("select stage from runs where error is null order by stage")
      assert.deepStrictEqual(rows, [{ stage: "load" }, { stage: "split" }])
    })))
})
