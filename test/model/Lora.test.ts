import { assert, describe, it, layer, type Vitest } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { readFileSync } from "node:fs"
import * as Loss from "../../src/finetune/Loss.ts"
import * as Optimizer from "../../src/finetune/Optimizer.ts"
import * as Adapter from "../../src/model/Adapter.ts"
import type { Model, Parameters } from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Lora from "../../src/model/Lora.ts"
import * as PretrainedModel from "../../src/model/PretrainedModel.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend, type Tensor, type Tf } from "../../src/tensor/Backend.ts"
import * as Backpropagation from "../../src/tensor/Backpropagation.ts"
import { everywhere } from "../tensor/Parity.ts"
import * as Reference from "./Reference.ts"

/** Adapters that PEFT wrote, each with its base among the fixtures. */
const adapters: Readonly<Record<string, string>> = {
  "adapters/gpt2": "gpt2",
  "llama/lora": "llama",
  "llama3-rope-tied/lora": "llama3-rope-tied",
  "qwen2/lora": "qwen2",
  "qwen3/lora": "qwen3",
  "adapters/gpt2-dora": "gpt2",
  "adapters/llama-dora": "llama",
  "adapters/qwen3-patterns": "qwen3",
  "adapters/gpt2-layers": "gpt2",
  "adapters/gpt2-classification": "gpt2-classification"
}

const own = new Set<string>(Object.values(Adapter.fileNames))

const bothFiles = (adapter: string): Map<string, Uint8Array> =>
  new Map([
    ...Reference.files(adapters[adapter]!),
    ...[...Reference.files(adapter)].filter(([name]) => own.has(name))
  ])

const parse = (bytes: Uint8Array | undefined) => JSON.parse(new TextDecoder().decode(bytes))
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

/** The base's files with an adapter whose configuration is changed. */
const changed = (adapter: string, change: Readonly<Record<string, unknown>>): Map<string, Uint8Array> => {
  const files = bothFiles(adapter)
  return files.set("adapter_config.json", json({ ...parse(files.get("adapter_config.json")), ...change }))
}

const load = Effect.fnUntraced(function*(adapter: string) {
  const base = yield* Reference.load(adapters[adapter]!)
  const checkpoint = yield* Checkpoint.fromFiles(bothFiles(adapter))
  const model = yield* Checkpoint.modelOf(checkpoint)
  const placement = (yield* Checkpoint.placementOf(checkpoint))!
  const found = Reference.files(adapter)
  const { tensors } = yield* Safetensors.decode(found.get("reference.safetensors")!)
  const { hyperparameters, trajectory } = parse(found.get("reference.json"))
  return {
    ...base,
    checkpoint,
    model,
    placement,
    expected: (name: string) => tensors.get(name)?.data as Float32Array | undefined,
    hyperparameters: hyperparameters as Readonly<Record<string, number>>,
    trajectory: trajectory as ReadonlyArray<Reference.TrajectoryStep>,
    // The adapters among the models' own fixtures have the logits of the first training batch, the others those of the
    // model's texts.
    input: tensors.has("input_ids") ? base.trainBatch(0) : base.input
  }
})

type Loaded = Effect.Success<ReturnType<typeof load>>

const logits = (tf: Tf, { batch, input, model }: Pick<Loaded, "batch" | "input" | "model">, weights: Weights_) => {
  const once = model.head === "sequence-classification"
  return model.logits(tf, weights, model.hidden(tf, weights, input, once ? { rows: batch.rows } : {}))
}
type Weights_ = ReturnType<typeof Weights.make>

const lora = (it: Vitest.MethodsNonLive<Backend>) => {
  for (const adapter of Object.keys(adapters)) {
    it.effect(`gives the logits that PEFT gives with ${adapter}, merged as well, and its gradients`, () =>
      Effect.gen(function*() {
        const loaded = yield* load(adapter)
        const { batch, checkpoint, expected, model, placement } = loaded
        const { tf } = yield* Backend
        const before = tf.memory().numTensors
        const parameters = Checkpoint.parametersOf(checkpoint)
        const { adapter: none, tensors } = yield* Checkpoint.merged(checkpoint)
        assert.isUndefined(none)
        const [found, merged] = yield* Reference.read(tf, () => [
          logits(tf, loaded, Weights.make(tf, model, Reference.upload(tf, parameters), { adapter: placement })),
          logits(tf, loaded, Weights.make(tf, model, Reference.upload(tf, tensors)))
        ])
        assert.isAtMost(Reference.relative(found!, expected("logits")!), 1e-5)
        assert.isAtMost(Reference.relative(merged!, found!), 2e-6)

        const trained = Lora.parametersOf(placement)
        if (expected("loss") === undefined) return
        const [loss, ...gradients] = yield* Reference.read(tf, () => {
          const tensors = Reference.upload(tf, parameters)
          const weights = Weights.make(tf, model, tensors, { adapter: placement })
          const { gradients, value } = Backpropagation.valueAndGradients(
            tf,
            () => Loss.mean(tf, model, weights, batch),
            trained.map(({ name }) => tensors.get(name)!)
          )
          return [value, ...gradients]
        })
        assert.isAtMost(Reference.relative(loss!, expected("loss")!), 1e-6)
        for (const [index, { name }] of trained.entries()) {
          const gradient = expected(`grad.${name}`) ?? expected(`grad.${name}.weight`)
          assert.isAtMost(Reference.relative(gradients[index]!, gradient!), 1e-4, name)
        }
        assert.strictEqual(tf.memory().numTensors, before)
      }))

    it.effect(`trains ${adapter} as PEFT and torch do, step by step, and nothing else`, () =>
      Effect.gen(function*() {
        const { checkpoint, hyperparameters, model, placement, trainBatch, trajectory } = yield* load(adapter)
        const { tf } = yield* Backend
        const before = tf.memory().numTensors
        const trained = Lora.parametersOf(placement)
        const names = new Set(trained.map(({ name }) => name))
        const all = Checkpoint.parametersOf(checkpoint)
        const frozen = Reference.upload(tf, new Map([...all].filter(([name]) => !names.has(name))))
        const optimizer = Optimizer.make(
          tf,
          trained.map((parameter) => ({ ...Optimizer.target(parameter), data: all.get(parameter.name)!.data })),
          Optimizer.Settings.make({
            name: "adamw",
            beta1: hyperparameters["beta1"]!,
            beta2: hyperparameters["beta2"]!,
            epsilon: hyperparameters["epsilon"]!,
            weightDecay: hyperparameters["weight_decay"]!
          })
        )
        for (const { grad_norm, learning_rate, loss, step } of trajectory) {
          const [report, ...gradients] = tf.tidy(() => {
            const tensors = new Map([...frozen, ...optimizer.parameters()])
            const weights = Weights.make(tf, model, tensors, { adapter: placement, dropout: { seed: 1, step } })
            const { gradients, value } = Backpropagation.valueAndGradients(
              tf,
              () => Loss.mean(tf, model, weights, trainBatch(step)),
              trained.map(({ name }) => tensors.get(name)!)
            )
            const joined = optimizer.join(gradients)
            return [tf.stack([value, optimizer.squaredNorm(joined)]), ...joined]
          }) as [Tensor, ...Array<never>]
          const [found, squared] = (yield* Effect.promise(() => report.data())) as unknown as [number, number]
          const norm = Math.sqrt(squared)
          assert.isAtMost(Math.abs(found - loss), 1e-4 * loss, `loss at step ${step}`)
          assert.isAtMost(Math.abs(norm - grad_norm), 1e-4 * grad_norm, `gradient norm at step ${step}`)
          const scale = Optimizer.clipScale(norm, hyperparameters["max_grad_norm"]!)
          optimizer.update(gradients, { step, learningRate: learning_rate, scale })
          tf.dispose([report, ...gradients])
        }
        optimizer.dispose()
        tf.dispose([...frozen.values()])
        assert.strictEqual(tf.memory().numTensors, before)
      }))
  }
}

for (const name of everywhere) layer(Backend.layer(name))(`Lora on ${name}`, lora)
