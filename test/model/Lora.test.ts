import { assert, describe, it, layer, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { defaults } from "../../src/finetune/Hyperparameters.ts"
import * as Loss from "../../src/finetune/Loss.ts"
import * as Optimizer from "../../src/finetune/Optimizer.ts"
import * as Step from "../../src/finetune/Step.ts"
import * as Adapter from "../../src/model/Adapter.ts"
import * as Architecture from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Lora from "../../src/model/Lora.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend, type Tensor, type Tf } from "../../src/tensor/Backend.ts"
import * as Backpropagation from "../../src/tensor/Backpropagation.ts"
import * as Heap from "../../src/tensor/wasm/Heap.ts"
import { everywhere } from "../tensor/Parity.ts"
import * as AdapterFixtures from "./AdapterFixtures.ts"
import * as Reference from "./Reference.ts"

type Loaded = Effect.Success<ReturnType<typeof AdapterFixtures.load>>

/** Logits of every position, or one row of them for a text of a classifier. */
const logits = (tf: Tf, { batch, input, model }: Loaded, weights: Architecture.Weights) => {
  const once = Int32Array.from(batch.rows, (at) => Math.floor(at / batch.time) * input.time + at % batch.time)
  return model.logits(
    tf,
    weights,
    model.hidden(tf, weights, input, model.head === "sequence-classification" ? { rows: once } : {})
  )
}

/** On a GPU that is software each of them takes seconds, and what differs there are the kernels: two are enough. */
const adaptersOn = (backend: string): ReadonlyArray<string> =>
  Object.keys(AdapterFixtures.bases).slice(0, backend === "webgpu" ? 2 : Infinity)

const lora = (backend: string) => (it: Vitest.MethodsNonLive<Backend>) => {
  for (const adapter of adaptersOn(backend)) {
    it.effect(`gives the logits that PEFT gives with ${adapter}, merged as well, and its gradients`, () =>
      Effect.gen(function*() {
        const loaded = yield* AdapterFixtures.load(adapter)
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
        const { checkpoint, hyperparameters, model, placement, trainBatch, trajectory } = yield* AdapterFixtures.load(
          adapter
        )
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

  for (const variant of ["lora", "dora"] as const) {
    it.effect(`begins as the model itself and learns from there, dropping as seed, step and part say (${variant})`, () =>
      Effect.gen(function*() {
        const { batch, checkpoint, input, model } = yield* Reference.load("gpt2")
        const { tf } = yield* Backend
        const settings = Lora.Settings.make({ variant, rank: 3, dropout: 0.3 })
        const placement = yield* Lora.place(model, settings)
        const initial = Lora.initialize(placement, checkpoint.tensors, 5)
        const parameters = new Map([...checkpoint.tensors, ...initial])
        const trained = Lora.parametersOf(placement)
        assert.deepStrictEqual(
          trained.map(({ name, shape }) => [name, shape]),
          Array.from(initial, ([name, { shape }]) => [name, shape])
        )
        const [plain, adapted] = yield* Reference.read(tf, () => {
          const tensors = Reference.upload(tf, parameters)
          return [
            model.hidden(tf, Weights.make(tf, model, tensors), input),
            model.hidden(tf, Weights.make(tf, model, tensors, { adapter: placement }), input)
          ]
        })
        assert.isAtMost(Reference.relative(adapted!, plain!), 1e-6)

        // `B` is not zero, so that what is dropped shows.
        const moved = new Map([...parameters].map(([name, parameter]) => [
          name,
          name.includes("lora_B")
            ? { ...parameter, data: parameter.data.map((_, at) => 0.1 * Math.sin(at)) }
            : parameter
        ]))
        const gradients = (dropout: { seed: number; step: number; part?: number }, recompute = false) =>
          Reference.read(tf, () => {
            const tensors = Reference.upload(tf, moved)
            const weights = Weights.make(tf, model, tensors, { adapter: placement, dropout })
            const found = Backpropagation.valueAndGradients(
              tf,
              () => Loss.mean(tf, model, weights, batch, { recompute }),
              trained.map(({ name }) => tensors.get(name)!)
            )
            return [found.value, ...found.gradients]
          })
        const before = tf.memory().numTensors
        const once = yield* gradients({ seed: 1, step: 4 })
        assert.isTrue(once.every((values) => values.every(Number.isFinite)))
        assert.deepStrictEqual(yield* gradients({ seed: 1, step: 4, part: 0 }), once)
        assert.deepStrictEqual(yield* gradients({ seed: 1, step: 4 }, true), once, "recomputed")
        for (const other of [{ seed: 2, step: 4 }, { seed: 1, step: 5 }, { seed: 1, step: 4, part: 1 }]) {
          assert.isAbove(Reference.relative((yield* gradients(other))[1]!, once[1]!), 0.01)
        }
        assert.strictEqual(tf.memory().numTensors, before)
      }))
  }

  it.effect("drops by its own rate, whatever the model's is, and nothing where no step is taken", () =>
    Effect.gen(function*() {
      const { checkpoint, input, model, placement } = yield* AdapterFixtures.load("adapters/gpt2")
      const { tf } = yield* Backend
      const hidden = (rate: number, options: { dropout?: { seed: number; step: number; rate: number } }) =>
        Effect.map(
          Reference.read(tf, () => {
            const adapter = { ...placement, settings: { ...placement.settings, dropout: rate } }
            const tensors = Reference.upload(tf, Checkpoint.parametersOf(checkpoint))
            return [model.hidden(tf, Weights.make(tf, model, tensors, { adapter, ...options }), input)]
          }),
          ([found]) => found!
        )
      const plain = yield* hidden(0, {})
      assert.deepStrictEqual(yield* hidden(0.5, {}), plain)
      assert.deepStrictEqual(yield* hidden(0, { dropout: { seed: 1, step: 0, rate: 0.5 } }), plain)
      assert.isAbove(Reference.relative(yield* hidden(0.5, { dropout: { seed: 1, step: 0, rate: 0 } }), plain), 0.01)
    }))

  it.effect("recomputes a module that is trained in full with its layer", () =>
    Effect.gen(function*() {
      const { batch, checkpoint, model } = yield* Reference.load("gpt2")
      const { tf } = yield* Backend
      const settings = Lora.Settings.make({
        rank: 2,
        layers: [1],
        modulesToSave: ["h.0.ln_1", "h.0.mlp.c_proj", "wpe"]
      })
      const placement = yield* Lora.place(model, settings)
      const parameters = Checkpoint.parametersOf({
        tensors: checkpoint.tensors,
        adapter: Adapter.make(model, placement, Lora.initialize(placement, checkpoint.tensors, 1))
      })
      assert.isFalse(parameters.has("transformer.wpe.weight"))
      const trained = Lora.parametersOf(placement)
      const gradients = (recompute: boolean) =>
        Reference.read(tf, () => {
          const tensors = Reference.upload(tf, parameters)
          const weights = Weights.make(tf, model, tensors, { adapter: placement })
          return [
            ...Backpropagation.valueAndGradients(
              tf,
              () => Loss.mean(tf, model, weights, batch, { recompute }),
              trained.map(({ name }) => tensors.get(name)!)
            ).gradients
          ]
        })
      const found = yield* gradients(false)
      assert.deepStrictEqual(yield* gradients(true), found)
      // Those of the parameters themselves are known: the adapter changes nothing yet.
      const { tensors } = yield* Safetensors.decode(Reference.files("gpt2").get("reference.safetensors")!)
      let inFull = 0
      for (const [index, { name }] of trained.entries()) {
        const expected = tensors.get(`grad.${name.replace("base_model.model.", "")}`)
        if (expected === undefined) continue
        assert.isAtMost(Reference.relative(found[index]!, expected.data as Float32Array), 1e-4, name)
        inFull++
      }
      assert.strictEqual(inFull, 5)
    }))
}

for (const name of everywhere) layer(Backend.layer(name))(`Lora on ${name}`, lora(name))

layer(Backend.layer("wasm"))("memory", (it) => {
  it.effect("is four bytes for each number of the base, and no gradient, where full training takes sixteen", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const config = Gpt2.config({ vocabularySize: 97, positions: 8, width: 256, layers: 4, heads: 4, dropout: 0 })
      const model = yield* Gpt2.family.make(config, "causal-language-modeling")
      const base = Architecture.initialize(model, 1)
      const tokens = Int32Array.from({ length: 8 }, (_, at) => at)
      const batch = Examples.collate(model, [{ tokens, labels: tokens }], Examples.oneEach([0]))
      const total = Array.from(base.values()).reduce((sum, { data }) => sum + data.length, 0)
      const peak = Effect.fnUntraced(function*(adapter: Lora.Placement | undefined) {
        const meter = Heap.meter((tf.backend() as unknown as Heap.WasmBackend).wasm)
        const stepper = Step.make(tf, {
          model,
          adapter,
          parameters: adapter === undefined ? base : new Map([...base, ...Lora.initialize(adapter, base, 1)]),
          targets: (adapter === undefined ? model.parameters : Lora.parametersOf(adapter)).map(Optimizer.target),
          totalSteps: 2,
          hyperparameters: defaults
        })
        yield* Effect.promise(() => stepper.take([batch], 0))
        stepper.dispose()
        assert.strictEqual(meter.live(), 0)
        meter.stop()
        return meter.peak() / total
      })
      const placement = yield* Lora.place(model, Lora.Settings.make({ rank: 2 }))
      assert.isAbove(yield* peak(undefined), 16)
      // Beside the base: the adapter with its gradients and moments, and what a text of eight tokens leaves.
      assert.isBelow(yield* peak(placement), 4 + 16 * Lora.numbersOf(placement) / total + 0.5)
    }))
})

describe("Lora", () => {
  it.effect("draws A as PEFT does, uniform within one over the root of its inputs, and B zero", () =>
    Effect.gen(function*() {
      const config = Gpt2.config({ vocabularySize: 97, positions: 16, width: 64, layers: 2, heads: 4 })
      const model = yield* Gpt2.family.make(config, "causal-language-modeling")
      const placement = yield* Lora.place(model, Lora.Settings.make({ rank: 16, variant: "dora" }))
      const base = Architecture.initialize(model, 1)
      const parameters = Lora.initialize(placement, base, 3)
      for (const [name, { data, shape }] of parameters) {
        if (name.endsWith("lora_B.weight")) assert.isTrue(data.every((x) => x === 0), name)
        if (!name.endsWith("lora_A.weight")) continue
        const bound = 1 / Math.sqrt(shape[1]!)
        assert.isTrue(data.every((x) => Math.abs(x) <= bound), name)
        assert.isAbove(Math.max(...data), 0.97 * bound, name)
        const mean = data.reduce((sum, x) => sum + x, 0) / data.length
        const variance = data.reduce((sum, x) => sum + (x - mean) ** 2, 0) / data.length
        // Five standard errors; the variance of a uniform distribution is a third of its bound's square.
        assert.isBelow(Math.abs(mean), 5 * bound / Math.sqrt(3 * data.length), name)
        assert.isBelow(Math.abs(variance / (bound ** 2 / 3) - 1), 5 * Math.sqrt(0.8 / data.length), name)
      }
      const { data: weight } = base.get("transformer.h.0.attn.c_proj.weight")!
      const { data: lengths } = parameters.get("base_model.model.transformer.h.0.attn.c_proj.lora_magnitude_vector")!
      // The weight is [in, out]: an output's vector is a column.
      const column = Math.hypot(...Array.from({ length: 64 }, (_, row) => weight[row * 64 + 7]!))
      assert.closeTo(lengths[7]!, column, 1e-6)
      assert.deepStrictEqual(Lora.initialize(placement, base, 3), parameters)
      assert.notDeepEqual(Lora.initialize(placement, base, 4), parameters)
    }))

  it.effect("finds the modules that PEFT finds by all-linear, and trains as many numbers", () =>
    Effect.gen(function*() {
      const { models } = AdapterFixtures.parse(
        readFileSync(new URL("../fixtures/hf/adapters/all-linear.json", import.meta.url))
      ) as {
        readonly models: Readonly<
          Record<
            string,
            { readonly adapted: Array<string>; readonly saved: Array<string>; readonly parameters: number }
          >
        >
      }
      for (const [name, { adapted, parameters, saved }] of Object.entries(models)) {
        if (AdapterFixtures.isUnknown(name)) continue
        const model = yield* Checkpoint.modelOf(yield* Checkpoint.fromFiles(Reference.files(name)))
        const placement = yield* Lora.place(model, Lora.Settings.make({ rank: 2 }))
        assert.deepStrictEqual([...placement.adapted.keys()].toSorted(), adapted, name)
        assert.deepStrictEqual([...placement.saved.keys()].toSorted(), saved, name)
        assert.strictEqual(Lora.numbersOf(placement), parameters, name)
      }
    }))

  const place = Effect.fnUntraced(function*(settings: typeof Lora.Settings["~type.make.in"], base = "llama") {
    const model = yield* Checkpoint.modelOf(yield* Checkpoint.fromFiles(Reference.files(base)))
    return yield* Lora.place(model, Lora.Settings.make(settings))
  })
  const shown = (placement: Lora.Placement) =>
    Array.from(
      placement.adapted.values(),
      ({ linear, rank, scaling }) => `${linear.name.replace(/^model\.layers\./, "")} ${rank} ${scaling}`
    )

  it.effect("takes targets by keyword, name, pattern and layer, with ranks and alphas of their own", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(shown(yield* place({ targets: "attention", layers: [1], rank: 4, alpha: 8 })), [
        "1.self_attn.q_proj 4 2",
        "1.self_attn.k_proj 4 2",
        "1.self_attn.v_proj 4 2",
        "1.self_attn.o_proj 4 2"
      ])
      const chosen = yield* place({
        targets: ["q_proj", "mlp.down_proj", "model.layers.0.mlp.up_proj", "proj"],
        layers: [1],
        rank: 4,
        scaling: "rank-stabilized",
        rankPattern: { "layers\\.1\\..*q_proj": 16 },
        alphaPattern: { "mlp\\.\\w+": 2 }
      })
      assert.deepStrictEqual(shown(chosen), ["0.mlp.up_proj 4 1", "1.self_attn.q_proj 16 2", "1.mlp.down_proj 4 1"])
      assert.deepStrictEqual(
        shown(
          yield* place({ targets: { pattern: ".*\\.(?P<kind>[qk]_proj)" }, exclude: ["layers.0.self_attn.k_proj"] })
        ),
        ["0.self_attn.q_proj 8 1", "1.self_attn.q_proj 8 1", "1.self_attn.k_proj 8 1"]
      )
      // The head is left out unless it is named.
      assert.include(shown(yield* place({ targets: ["lm_head"] })), "lm_head 8 1")
      assert.deepStrictEqual(shown(yield* place({ targets: ["q_proj"], modulesToSave: ["layers.0"] })), [
        "1.self_attn.q_proj 8 1"
      ])
    }))

  it.effect("refuses targets that are not there, with the modules that are", () =>
    Effect.gen(function*() {
      const nothing = yield* Effect.flip(place({ targets: ["c_attn"] }))
      assert.match(nothing.message, /target_modules.*c_attn.*model\.layers\.0\.self_attn\.q_proj/)
      assert.match((yield* Effect.flip(place({ layers: [7] }))).message, /layers 7/)
      const tied = yield* Effect.flip(place({ modulesToSave: ["wte"] }, "gpt2"))
      assert.match(tied.message, /modules_to_save.*wte.*head/)
      assert.match(
        (yield* Effect.flip(place({ targets: { pattern: "(" } }))).message,
        /target_modules.*regular expression/
      )
      // Some sixty letters, and a pattern that tries every way to part them.
      assert.match(
        (yield* Effect.flip(place({ targets: { pattern: "((\\w|\\.)+)+!" } }))).message,
        /target_modules.*takes too long/
      )
    }), 10_000)
})
