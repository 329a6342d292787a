import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schema } from "effect"
import * as LabeledText from "../../src/dataset/LabeledText.ts"
import { TrainSplit } from "../../src/dataset/Splits.ts"
import * as Local from "../../src/executor/Local.ts"
import { FineTune } from "../../src/finetune/FineTune.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Memory from "../../src/model/Memory.ts"
import * as PretrainedModel from "../../src/model/PretrainedModel.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { Store } from "../../src/store/Store.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { observe } from "../pipeline/stages.ts"

const TinyModel = Stage.make("tiny-model", {
  inputs: {},
  params: {},
  output: PretrainedModel.PretrainedModel,
  run: Effect.fn("TinyModel")(function*() {
    const config = Gpt2.config({ vocabularySize: 257, positions: 64, width: 16, layers: 2, heads: 2, endOfTextId: 256 })
    return yield* PretrainedModel.store(
      yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), 1).pipe(Effect.orDie)
    )
  })
})

const Texts = Stage.make("texts", {
  inputs: {},
  params: {},
  output: TrainSplit,
  run: Effect.fn("Texts")(function*() {
    const rows = Array.from(
      { length: 32 },
      (_, i) => ({ text: "ab".repeat(16 + i % 8), label: i % 2 ? "odd" : "even" })
    )
    const examples = yield* Artifact.writeTable("examples", LabeledText.LabeledText, rows)
    return new TrainSplit({ examples, labels: ["even", "odd"] })
  })
})

const Loss = Stage.make("loss", {
  inputs: { steps: Schema.Int },
  params: {},
  output: Schema.Struct({ loss: Schema.Finite }),
  run: ({ steps }) => Effect.succeed({ loss: 1 / steps })
})

/** Two trials: of batches of four texts, and of thirty-two. */
const study = () =>
  Study.make("batches", {
    space: Space.make({ batchSize: Space.choice([4, 32]) }),
    scheduler: FullBudget.make(1),
    trials: 2,
    first: [{ batchSize: 4 }, { batchSize: 32 }],
    minimize: "loss",
    trial: ({ batchSize }) => {
      const tuned = FineTune({ model: TinyModel({}), train: Texts({}) }, { learningRate: 1e-3, batchSize, epochs: 1 })
      return Loss({ steps: Node.at(tuned, "steps") })
    }
  })

/** The wasm backend, were it to hold only so much, and a store in memory. */
const withLimit = (memoryLimit: number) =>
  Layer.mergeAll(
    Store.layerMemory,
    Local.layer({
      backend: Layer.effect(Backend, Effect.map(Backend, (backend) => ({ ...backend, memoryLimit }))).pipe(
        Layer.provide(Backend.layer("wasm"))
      )
    })
  )

const ran = (observed: Effect.Success<ReturnType<typeof observe>>, tag: "stage.started" | "stage.cached") =>
  observed.count(tag, "fine-tune")

describe("fine-tuning that needs more memory than there is", () => {
  it.effect("is one failed trial of a study, which remembers it and goes on", () =>
    Effect.gen(function*() {
      const first = yield* observe(study())
      if (Exit.isFailure(first.exit)) return assert.fail(String(first.exit.cause))
      const { best, trials } = first.exit.value
      assert.deepStrictEqual(best.params, { batchSize: 4 })
      assert.deepStrictEqual(trials.map(({ params, status }) => [params.batchSize, status]), [
        [4, "completed"],
        [32, "failed"]
      ])
      const [, refused] = trials
      assert.match(refused!.error!, /^Training on batches of 32 texts of up to \d+ tokens needs some \d+ MiB/)
      assert.match(
        refused!.error!,
        /the backend "wasm" holds 2 MiB\. What would fit: (gradientCheckpointing, or )?a microBatchSize of \d+, or texts of/
      )
      assert.strictEqual(ran(first, "stage.started"), 2)
      // Asked again, the store answers for both.
      const second = yield* observe(study())
      assert.deepStrictEqual(second.exit, first.exit)
      assert.strictEqual(ran(second, "stage.started"), 0)
      assert.strictEqual(ran(second, "stage.cached"), 2)
    }).pipe(Effect.provide(withLimit(2.5e6))))

  it.effect("is asked for again where it was the machine that had too little", () =>
    Effect.gen(function*() {
      const onSmall = Effect.provideService(observe(study()), Memory.MachineMemory, 1e6)
      const first = yield* onSmall
      assert.isTrue(Exit.isFailure(first.exit))
      assert.include(String(first.exit), "this machine has 1 MiB")
      assert.strictEqual(ran(yield* onSmall, "stage.started"), 2)
      const onLarge = yield* observe(study())
      assert.isTrue(Exit.isSuccess(onLarge.exit))
    }).pipe(Effect.provide(withLimit(2 ** 30))))
})
