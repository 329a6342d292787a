/** Small stages and a service, shared by the tests of the pipeline. */
import { Context, Effect, Layer, Schema } from "effect"
import * as Local from "../../src/executor/Local.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { type PipelineEvent, Progress } from "../../src/pipeline/Progress.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import { Store } from "../../src/store/Store.ts"

export class Dataset extends Schema.Class<Dataset>("Dataset")({
  name: Schema.String,
  rows: Schema.Array(Schema.Finite)
}) {}

export class TrainSplit extends Schema.Class<TrainSplit>("TrainSplit")({
  kind: Schema.tag("train"),
  rows: Schema.Array(Schema.Finite)
}) {}

export class ValidationSplit extends Schema.Class<ValidationSplit>("ValidationSplit")({
  kind: Schema.tag("validation"),
  rows: Schema.Array(Schema.Finite)
}) {}

export class Checkpoint extends Schema.Class<Checkpoint>("Checkpoint")({
  weight: Schema.Finite,
  epochs: Schema.Int
}) {}

export class Scores extends Schema.Class<Scores>("Scores")({
  loss: Schema.Finite,
  nested: Schema.Struct({ accuracy: Schema.Finite }),
  label: Schema.String
}) {}

export class DatasetNotFound extends Schema.TaggedError<DatasetNotFound>()("DatasetNotFound", {
  name: Schema.String
}) {}

export class Diverged extends Schema.TaggedError<Diverged>()("Diverged", { step: Schema.Int }) {}

export class Gpu extends Context.Service<Gpu, {
  readonly step: (weight: number, row: number, learningRate: number) => number
}>()("test/Gpu") {
  static readonly layerFake = Layer.succeed(Gpu, { step: (weight, row, rate) => weight + rate * (row - weight) })
}

export const Load = Stage.make("load", {
  inputs: {},
  params: { name: Schema.NonEmptyString },
  output: Dataset,
  error: DatasetNotFound,
  run: Effect.fn("Load")(function*(_, { name }) {
    if (name === "missing") return yield* new DatasetNotFound({ name })
    return new Dataset({ name, rows: [1, 2, 3, 4, 5, 6, 7, 8] })
  })
})

export const Split = Stage.make("split", {
  inputs: { dataset: Dataset },
  params: { fraction: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })) },
  output: Schema.Struct({ train: TrainSplit, validation: ValidationSplit }),
  run: ({ dataset }, { fraction }) => {
    const cut = Math.round(dataset.rows.length * (1 - fraction))
    return Effect.succeed({
      train: new TrainSplit({ rows: dataset.rows.slice(0, cut) }),
      validation: new ValidationSplit({ rows: dataset.rows.slice(cut) })
    })
  }
})

export const FineTune = Stage.make("fine-tune", {
  inputs: { train: TrainSplit, checkpoint: Schema.optionalKey(Checkpoint) },
  params: { learningRate: Schema.Finite, epochs: Schema.Int, optimizer: Schema.Literals(["adamw", "sgd"]) },
  output: Checkpoint,
  error: Diverged,
  keepFailure: () => true,
  run: Effect.fn("FineTune")(function*({ checkpoint, train }, { epochs, learningRate }) {
    const gpu = yield* Gpu
    if (learningRate > 1) return yield* new Diverged({ step: 1 })
    let weight = checkpoint?.weight ?? 0
    for (let epoch = checkpoint?.epochs ?? 0; epoch < epochs; epoch++) {
      for (const row of train.rows) weight = gpu.step(weight, row, learningRate)
    }
    return new Checkpoint({ weight, epochs })
  })
})

export const Evaluate = Stage.make("evaluate", {
  inputs: { model: Checkpoint, validation: ValidationSplit },
  params: {},
  output: Scores,
  run: ({ model, validation }) => {
    const loss = validation.rows.reduce((sum, row) => sum + (row - model.weight) ** 2, 0) / validation.rows.length
    return Effect.succeed(new Scores({ loss, nested: { accuracy: 1 / (1 + loss) }, label: "fake" }))
  }
})

/** A store in memory and an executor in this process; code is identified by the stage's version alone. */
export const TestLayer = Layer.mergeAll(
  Store.layerMemory,
  Local.layer({ cpu: 4 }),
  Gpu.layerFake,
  Layer.succeed(CodeIdentity, (stage) => Effect.succeed(stage.version ?? "1"))
)

/** Runs a node and collects the events. */
export const observe = Effect.fnUntraced(function*<A, E, R>(node: Node.Node<A, E, R>) {
  const events: Array<PipelineEvent> = []
  const exit = yield* Pipeline.run(node).pipe(
    Effect.provideService(Progress, (event) => Effect.sync(() => void events.push(event))),
    Effect.exit
  )
  const count = (tag: PipelineEvent["_tag"], stage?: string) =>
    events.filter((event) => event._tag === tag && (stage === undefined || ("stage" in event && event.stage === stage)))
      .length
  return { exit, events, count }
})
