/**
 * Each `@ts-expect-error` below is a wiring mistake that the compiler refuses.
 * This file is type-checked and never run.
 *
 * @effect-diagnostics missingEffectError:off
 * @effect-diagnostics missingEffectContext:off
 */
import { Context, Effect, Layer, Schema } from "effect"
import { OpenTest } from "../../src/dataset/OpenTest.ts"
import type { SplitExamples } from "../../src/dataset/SplitExamples.ts"
import { Evaluate as Score } from "../../src/evaluate/Evaluate.ts"
import { FineTune as FineTuneModel } from "../../src/finetune/FineTune.ts"
import type { PretrainedModel } from "../../src/model/PretrainedModel.ts"
import type { Executor } from "../../src/pipeline/Executor.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import type { Selection } from "../../src/pipeline/Selection.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import type { Store } from "../../src/store/Store.ts"
import {
  Checkpoint,
  type DatasetNotFound,
  type Diverged,
  Evaluate,
  FineTune,
  Gpu,
  Load,
  Split,
  type TrainSplit
} from "./stages.ts"

const dataset = Load({}, { name: "toy" })
const split = Split({ dataset }, { fraction: 0.25 })
const train = Node.at(split, "train")
const validation = Node.at(split, "validation")
const model = FineTune({ train }, { learningRate: 1e-3, epochs: 1, optimizer: "sgd" })

// @ts-expect-error the whole split is not a training split
FineTune({ train: split }, { learningRate: 1e-3, epochs: 1, optimizer: "sgd" })

// @ts-expect-error training on the validation split
FineTune({ train: validation }, { learningRate: 1e-3, epochs: 1, optimizer: "sgd" })

// @ts-expect-error an input is missing
Evaluate({ model })

// @ts-expect-error an input the stage does not have
Evaluate({ model, validation, test: validation })

// An optional input may be left out, or be undefined.
FineTune({ train, checkpoint: model }, { learningRate: 1e-3, epochs: 2, optimizer: "sgd" })
FineTune({ train, checkpoint: undefined }, { learningRate: 1e-3, epochs: 2, optimizer: "sgd" })

// @ts-expect-error an optional input of the wrong type
FineTune({ train, checkpoint: dataset }, { learningRate: 1e-3, epochs: 2, optimizer: "sgd" })

// @ts-expect-error a field the upstream output does not have
Node.at(split, "test")

// @ts-expect-error a hyperparameter is missing
FineTune({ train }, { learningRate: 1e-3, epochs: 1 })

// @ts-expect-error a hyperparameter the stage does not have
FineTune({ train }, { learningRate: 1e-3, epochs: 1, optimizer: "sgd", warmup: 10 })

const study = { scheduler: FullBudget.make(1), trials: 2 }

Study.make("search", {
  ...study,
  space: Space.make({ optimizer: Space.choice(["adamw", "lion"]) }),
  minimize: "loss",
  trial: ({ optimizer }) =>
    // @ts-expect-error the space offers an optimizer that the stage does not know
    Evaluate({ model: FineTune({ train }, { learningRate: 1e-3, epochs: 1, optimizer }), validation })
})

Study.make("search", {
  ...study,
  space: Space.make({ learningRate: Space.logUniform(1e-4, 1e-1) }),
  minimize: "loss",
  // @ts-expect-error the trial reads a hyperparameter that the space does not have
  trial: ({ epochs, learningRate }) =>
    Evaluate({ model: FineTune({ train }, { learningRate, epochs, optimizer: "sgd" }), validation })
})

const evaluated = ({ epochs }: { readonly epochs: number }) =>
  Evaluate({ model: FineTune({ train }, { learningRate: 1e-3, epochs, optimizer: "sgd" }), validation })
const space = Space.make({ epochs: Space.integer(1, 3) })

// @ts-expect-error the objective reads a metric that the trial does not produce
Study.make("search", { ...study, space, maximize: "accuracy", trial: evaluated })

// @ts-expect-error the objective reads something that is not a number
Study.make("search", { ...study, space, maximize: "label", trial: evaluated })

// @ts-expect-error an objective has one direction
Study.make("search", { ...study, space, maximize: "loss", minimize: "loss", trial: evaluated })

Study.make("search", { ...study, space, maximize: "nested.accuracy", trial: evaluated })

Stage.make("broken", {
  inputs: { model: Checkpoint },
  params: {},
  output: Schema.Struct({ accuracy: Schema.Finite }),
  // @ts-expect-error the body does not produce the declared output
  run: ({ model }) => Effect.succeed({ loss: model.weight })
})

Stage.make("broken", {
  inputs: {},
  params: {},
  output: Checkpoint,
  // @ts-expect-error the body fails with an error that is not declared
  run: () => Effect.fail("no luck")
})

// @ts-expect-error the GPU service, the store and the executor have not been provided
Effect.runPromise(Pipeline.run(model))

// @ts-expect-error the errors of the stages upstream are not handled
const unhandled: Effect.Effect<Checkpoint, Pipeline.RunError, Gpu | Store | Executor> = Pipeline.run(model)
void unhandled

// @ts-expect-error a pipeline must bring the services that its stages use
Pipeline.make({ settings: {}, node: () => model })

class Other extends Context.Service<Other, { readonly other: true }>()("test/Other") {}

// @ts-expect-error it brings another one
Pipeline.make({ settings: {}, node: () => model, layer: Layer.succeed(Other, { other: true }) })

Pipeline.make({ settings: {}, node: () => model, layer: Gpu.layerFake })

// @ts-expect-error a setting that the pipeline does not have
Pipeline.make({ settings: { trials: Schema.Int }, node: ({ seed }) => Load({}, { name: seed }) })

// The stages that come with Attune: the test side stays sealed until a study has chosen.
declare const names: Node.Node<Schema.Schema.Type<typeof SplitExamples.output>>
declare const pretrained: Node.Node<PretrainedModel>
declare const selection: Node.Node<Selection>
const tuned = FineTuneModel({ model: pretrained, train: Node.at(names, "train") }, { learningRate: 1e-3 })
const tunedModel = Node.at(tuned, "model")
Score({ model: tunedModel, split: Node.at(names, "validation") })

// @ts-expect-error the test split is used before selection
Score({ model: tunedModel, split: Node.at(names, "test") })

// @ts-expect-error training on the sealed test split
FineTuneModel({ model: pretrained, train: Node.at(names, "test") }, { learningRate: 1e-3 })

// @ts-expect-error training on validation data
FineTuneModel({ model: pretrained, train: Node.at(names, "validation") }, { learningRate: 1e-3 })

// @ts-expect-error the seal cannot be broken without a selection
OpenTest({ sealed: Node.at(names, "test") })

// @ts-expect-error what was not chosen by a study is no selection
OpenTest({ sealed: Node.at(names, "test"), selection: Node.at(names, "train") })

Score({ model: tunedModel, split: OpenTest({ sealed: Node.at(names, "test"), selection }) })

// @ts-expect-error a hyperparameter that fine-tuning does not have
FineTuneModel({ model: pretrained, train: Node.at(names, "train") }, { learningRate: 1e-3, gradientMomentum: 0.9 })

// Errors and requirements of the whole upstream are in the type.
type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const typed: Effect.Effect<Checkpoint, DatasetNotFound | Diverged | Pipeline.RunError, Gpu | Store | Executor> =
  Pipeline.run(model)
const exactError: Equals<Node.Error<typeof model>, DatasetNotFound | Diverged> = true
const exactServices: Equals<Node.Services<typeof model>, Gpu> = true
const exactSplit: Equals<Node.Success<typeof train>, TrainSplit> = true

// A study discharges the errors of its trials and keeps their requirements.
const search = Study.make("search", { ...study, space, minimize: "loss", trial: evaluated })
const studyError: Equals<Node.Error<typeof search>, Study.NoTrialSucceeded | Study.NoFeasibleTrial> = true
const studyServices: Equals<Node.Services<typeof search>, Gpu> = true
const bestParams: Equals<Node.Success<typeof search>["best"]["params"], { readonly epochs: number }> = true
void [typed, exactError, exactServices, exactSplit, studyError, studyServices, bestParams]
