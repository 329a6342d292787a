/** A small pipeline whose stages put out everything that the result tables hold, and stores to run it on. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, FileSystem, Layer, Schema, type Scope } from "effect"
import * as Local from "../../src/executor/Local.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import * as Metrics from "../../src/pipeline/Metrics.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { type PipelineEvent, Progress, type StudyOutcome } from "../../src/pipeline/Progress.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as Tables from "../../src/results/Tables.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { Store } from "../../src/store/Store.ts"

export const SplitRow = Schema.Struct({ example: Schema.Int, side: Schema.Literals(["train", "validation"]) })
export const PredictionRow = Schema.Struct({
  example: Schema.Int,
  label: Schema.String,
  prediction: Schema.String,
  // A name that the table has itself.
  trial: Schema.Number
})

export const Load = Stage.make("load", {
  inputs: {},
  params: { rows: Schema.Int },
  output: Schema.Struct({ rows: Schema.Array(Schema.Finite) }),
  // No row of one size is a row of another: what is equal in content counts as the same data.
  run: (_, { rows }) => Effect.succeed({ rows: Array.from({ length: rows }, (_, i) => (rows - 12) * 100 + i + 1) })
})

export const Split = Stage.make("split", {
  inputs: { data: Schema.Struct({ rows: Schema.Array(Schema.Finite) }) },
  params: {},
  output: Schema.Struct({
    train: Schema.Struct({ rows: Schema.Array(Schema.Finite) }),
    validation: Schema.Struct({ rows: Schema.Array(Schema.Finite) }),
    splits: Artifact.table(SplitRow)
  }),
  run: Effect.fn("Split")(function*({ data: { rows } }) {
    const cut = Math.round(rows.length * 0.75)
    return {
      train: { rows: rows.slice(0, cut) },
      validation: { rows: rows.slice(cut) },
      splits: yield* Artifact.writeTable(
        "splits",
        SplitRow,
        rows.map((example, i) => ({ example, side: i < cut ? "train" : "validation" }))
      )
    }
  })
})

export class Diverged extends Schema.TaggedError<Diverged>()("Diverged", { step: Schema.Int }) {
  override get message(): string {
    return `the loss was not a number at step ${this.step},\n"diverged"`
  }
}

const Model = Schema.Struct({ weight: Schema.Finite, steps: Schema.Int })

export const FineTune = Stage.make("fine-tune", {
  inputs: { train: Schema.Struct({ rows: Schema.Array(Schema.Finite) }), from: Schema.optionalKey(Model) },
  params: { rate: Schema.Finite, steps: Schema.Int },
  output: Model,
  error: Diverged,
  keepFailure: () => true,
  run: Effect.fn("FineTune")(function*({ from, train }, { rate, steps }) {
    const log = yield* Metrics.MetricLog
    let weight = from?.weight ?? 0
    for (let step = (from?.steps ?? 0) + 1; step <= steps; step++) {
      // So that neighbouring trials end in another order than they began when several run at once.
      yield* Effect.yieldNow
      const row = train.rows[step % train.rows.length]!
      weight += rate * (row - weight)
      if (rate > 1.5) return yield* new Diverged({ step })
      // A loss may be anything, and so may be its gradient.
      const gradient = step === 2 ? Number.NaN : step === 3 ? Number.POSITIVE_INFINITY : rate
      log.log({ step, steps, split: "train", values: { loss: (row - weight) ** 2, gradient } })
    }
    return { weight, steps }
  })
})

export const Evaluate = Stage.make("evaluate", {
  inputs: { model: Model, validation: Schema.Struct({ rows: Schema.Array(Schema.Finite) }) },
  params: {},
  output: Schema.Struct({
    loss: Schema.Finite,
    scores: Schema.Struct({ accuracy: Schema.Number, examples: Schema.Int }),
    predictions: Artifact.table(PredictionRow)
  }),
  run: Effect.fn("Evaluate")(function*({ model, validation: { rows } }) {
    const loss = rows.reduce((sum, row) => sum + (row - model.weight) ** 2, 0) / rows.length
    return {
      loss,
      scores: { accuracy: loss > 20 ? Number.NaN : 1 / (1 + loss), examples: rows.length },
      predictions: yield* Artifact.writeTable(
        "predictions",
        PredictionRow,
        rows.map((example) => ({
          example,
          label: example % 2 === 0 ? "even" : "odd,\n\"so\" 🙂",
          prediction: model.weight > example ? "above" : "below",
          trial: model.weight
        }))
      )
    }
  })
})

export interface Options {
  readonly trials?: number
  readonly seed?: number
  readonly rows?: number
  /** The name of a constraint, which every point keeps. */
  readonly constraint?: string
}

const dimensions = {
  rate: Space.logUniform(0.01, 3, { default: 0.1 }),
  momentum: Space.choice([0, 1]),
  optimizer: Space.choice(["adamw", "sgd"]),
  nesterov: Space.choice([true, false])
}

export const space = Space.make(dimensions)

/** A study over three rungs, some of whose trials diverge. */
export const study = (name: string, options: Options = {}) => {
  const split = Split({ data: Load({}, { rows: options.rows ?? 12 }) })
  return Study.make(name, {
    space: Space.make(dimensions, {
      constraints: options.constraint === undefined ? {} : { [options.constraint]: () => true }
    }),
    scheduler: SuccessiveHalving.make({ budgets: [2, 4, 8] }),
    trials: options.trials ?? 9,
    minimize: "loss",
    seed: options.seed ?? 1,
    trial: ({ rate }, { budgets }) => {
      let model: Node.Node<typeof Model.Type, Diverged> | undefined
      for (const steps of budgets) model = FineTune({ train: Node.at(split, "train"), from: model }, { rate, steps })
      return Evaluate({ model: model!, validation: Node.at(split, "validation") })
    }
  })
}

/** Runs a node as the command line does: tables while it runs, and at the end. */
export const record = Effect.fnUntraced(function*<A, E, R>(node: Node.Node<A, E, R>) {
  const events: Array<PipelineEvent> = []
  const exit = yield* Effect.gen(function*() {
    const tables = yield* Tables.recorder
    const exit = yield* Pipeline.run(node).pipe(
      Effect.provideService(Progress, (event) => {
        events.push(event)
        return tables(event)
      }),
      Effect.exit
    )
    yield* tables.check
    return exit
  }).pipe(Effect.scoped)
  yield* Tables.finish
  const outcomes: ReadonlyArray<StudyOutcome> = events.flatMap((event) =>
    event._tag === "study.completed" ? [event.outcome] : []
  )
  return { exit, events, outcome: outcomes[0]!, outcomes }
})

/** A folder that is gone with the scope. */
export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  return yield* files.makeTempDirectoryScoped({ prefix: "attune-results-" })
}).pipe(Effect.provide(NodeFileSystem.layer), Effect.orDie)

/** A store in a folder, and an executor that runs so many stages at once. */
export const layer = (root: string, concurrency = 2) =>
  Layer.mergeAll(
    Store.layer(root),
    Local.layer({ cpu: concurrency }),
    Layer.succeed(CodeIdentity, (stage) => Effect.succeed(stage.version ?? "1"))
  )

/** With a store in a new folder. */
export const onDisk = <A, E, R>(effect: Effect.Effect<A, E, R>, concurrency?: number) =>
  Effect.flatMap(temporaryFolder, (root) => Effect.provide(effect, layer(root, concurrency), { local: true })).pipe(
    Effect.scoped
  )
