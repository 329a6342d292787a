import { assert, layer, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Generation from "../../src/model/Generation.ts"
import * as Sampling from "../../src/model/Sampling.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { everywhere } from "../tensor/Parity.ts"
import * as AdapterFixtures from "./AdapterFixtures.ts"
import { cleanly, untrained } from "./Generating.ts"
import * as Reciting from "./Reciting.ts"
import * as Reference from "./Reference.ts"

const families = ["gpt2", "llama", "llama3-rope-tied", "qwen2", "qwen3"] as const

interface Written {
  readonly model: string
  readonly adapter: string | null
  readonly prompt: ReadonlyArray<number>
  readonly repetitionPenalty: number
  readonly eos: ReadonlyArray<number>
  readonly generated: ReadonlyArray<number>
}

/** What transformers, with PEFT for the adapters, writes greedily after a prompt. */
const written: ReadonlyArray<Written> = JSON.parse(
  readFileSync(new URL("../fixtures/hf/generations.json", import.meta.url), "utf8")
).cases

const ways = [...new Set(written.map(({ adapter, model }) => adapter ?? model))]

/** On a GPU that is software each of them takes seconds, and what differs there are the kernels: two are enough. */
const someOf = <A>(all: ReadonlyArray<A>, backend: string) => all.slice(0, backend === "webgpu" ? 2 : Infinity)

const continuations = (backend: string) => (it: Vitest.MethodsNonLive<Backend>) => {
  it.effect.each(someOf(families, backend))(
    "writes greedily, token for token, what transformers writes with %s",
    (name) =>
      cleanly(Effect.gen(function*() {
        const { checkpoint, integer, trainBatch } = yield* Reference.load(name)
        const expected = integer("generated")
        const { inputIds } = trainBatch(2)
        // Beside the prompt of the fixture, others that are shorter and longer.
        const prompts = [inputIds.slice(0, 3), expected.slice(0, 8), inputIds.slice(3, 20), expected.slice(0, 9)]
        const options = { checkpoint, prompts, maximumNewTokens: 24 }
        const together = yield* Generation.generate(options)
        assert.deepStrictEqual(together[1]!.tokens, expected.slice(8))
        assert.strictEqual(together[1]!.stopped, "maximum-new-tokens")
        assert.deepStrictEqual(together[3]!.tokens.slice(0, 23), expected.slice(9))
        for (const batchSize of [1, 3]) {
          assert.deepStrictEqual(yield* Generation.generate({ ...options, batchSize }), together)
        }
      }))
  )

  const endingWith = (ids: ReadonlyArray<number>) => new TextEncoder().encode(JSON.stringify({ eos_token_id: ids }))

  it.effect.each(someOf(ways, backend))(
    "ends, penalizes repetition and takes an adapter as transformers and PEFT do with %s",
    (way) =>
      cleanly(Effect.gen(function*() {
        const checkpoint = yield* Checkpoint.fromFiles(
          way in AdapterFixtures.bases ? AdapterFixtures.files(way) : Reference.files(way)
        )
        const cases = written.filter(({ adapter, model }) => way === (adapter ?? model))
        const kinds = new Map(cases.map((one) => [JSON.stringify([one.repetitionPenalty, one.eos]), one]))
        for (const { eos, repetitionPenalty } of kinds.values()) {
          const alike = cases.filter((one) =>
            one.repetitionPenalty === repetitionPenalty && one.eos.join() === eos.join()
          )
          const found = yield* Generation.generate({
            checkpoint: {
              ...checkpoint,
              companions: new Map([...checkpoint.companions, ["generation_config.json", endingWith(eos)]])
            },
            prompts: alike.map(({ prompt }) => Int32Array.from(prompt)),
            sampling: { ...Sampling.greedy, repetitionPenalty },
            maximumNewTokens: 20
          })
          assert.deepStrictEqual(found.map(({ tokens }) => Array.from(tokens)), alike.map(({ generated }) => generated))
          assert.isTrue(
            found.every(({ stopped, tokens }) => (stopped === "end-of-text") === eos.includes(tokens.at(-1)!))
          )
        }
      }))
  )
}

for (const name of everywhere) layer(Backend.layer(name))(`generation on ${name}`, continuations(name))

const utf8 = (text: string) => Array.from(new TextEncoder().encode(text))

const recite = Effect.fnUntraced(function*(
  text: string,
  start: number,
  options: Partial<Generation.Options> = {}
) {
  const checkpoint = yield* Reciting.reciting([text])
  const tokens = yield* Reciting.tokensOf(text)
  const [found] = yield* Generation.generate({
    checkpoint,
    prompts: [tokens.slice(0, start)],
    maximumNewTokens: 40,
    ...options
  })
  return found!
})

const wasm = layer(Backend.layer("wasm"))

wasm("where a text ends", (it) => {
  it.effect("ends where the model says so, without the text of the token that says it", () =>
    cleanly(Effect.gen(function*() {
      const found = yield* recite("abcdef", 2)
      assert.deepStrictEqual([found.text, found.stopped, found.tokens.length], ["cdef", "end-of-text", 5])
      assert.strictEqual(found.tokens.at(-1), 256)
    })))

  it.effect("knows the ends of text that generation_config.json lists, or else config.json, and the tokenizer", () =>
    Effect.gen(function*() {
      const checkpoint = yield* Reciting.reciting(["abcdef"])
      const tokens = yield* Reciting.tokensOf("abcdef")
      const run = (config: Record<string, unknown>, generation?: string) =>
        Effect.map(
          Generation.generate({
            checkpoint: {
              ...checkpoint,
              config: { ...checkpoint.config, ...config },
              companions: new Map([
                ...checkpoint.companions,
                ...generation === undefined
                  ? []
                  : [["generation_config.json", new TextEncoder().encode(generation)] as const]
              ])
            },
            prompts: [tokens.slice(0, 1)],
            maximumNewTokens: 40
          }),
          ([found]) => [found!.text, found!.stopped]
        )
      const listed = JSON.stringify({ eos_token_id: [tokens[4], 9] })
      assert.deepStrictEqual(yield* run({}, listed), ["bcd", "end-of-text"])
      assert.deepStrictEqual(yield* run({ eos_token_id: tokens[2] }), ["b", "end-of-text"])
      assert.deepStrictEqual(yield* run({ eos_token_id: tokens[2] }, listed), ["bcd", "end-of-text"])
      assert.deepStrictEqual(yield* run({ eos_token_id: null }, "not JSON"), ["bcdef", "end-of-text"])
    }))

  it.effect("ends before the first stop string, though a token goes beyond it, and not for one in the prompt", () =>
    cleanly(Effect.gen(function*() {
      const found = yield* recite("ab;cde\nf", 3, { stopStrings: ["de", "\n", ";", "zz"] })
      assert.deepStrictEqual([found.text, found.stopped], ["c", "stop-string"])
      // The tokens tell what was written, the end of the stop string with it.
      assert.strictEqual(found.tokens.length, 3)
    })))

  it.effect("finds a stop string in the middle of a token of several letters", () =>
    Effect.gen(function*() {
      const { checkpoint } = yield* Reference.load("gpt2")
      const tokenizer = yield* Checkpoint.tokenizerOf(checkpoint)
      const token = tokenizer.idOf("ollar")!
      const { tensors } = checkpoint
      // Whatever comes, the next token is this one.
      const wte = tensors.get("transformer.wte.weight")!
      const data = wte.data.slice()
      const [, width] = wte.shape as [number, number]
      const norm = { shape: [width], data: new Float32Array(width).fill(0) }
      const bias = { shape: [width], data: new Float32Array(width).fill(1) }
      data.fill(1, token * width, (token + 1) * width)
      for (let id = 0; id < data.length / width; id++) if (id !== token) data.fill(-1, id * width, (id + 1) * width)
      const repeating = {
        ...checkpoint,
        tensors: new Map([
          ...tensors,
          ["transformer.wte.weight", { shape: wte.shape, data }],
          ["transformer.ln_f.weight", norm],
          ["transformer.ln_f.bias", bias]
        ])
      }
      const [found] = yield* Generation.generate({
        checkpoint: repeating,
        prompts: [Int32Array.of(40)],
        maximumNewTokens: 10,
        stopStrings: ["aro"]
      })
      assert.deepStrictEqual([found!.text, found!.stopped, found!.tokens.length], ["oll", "stop-string", 2])
    }))

  it.effect("takes special tokens as stop strings, which have no text", () =>
    Effect.gen(function*() {
      const found = yield* recite("abc", 1, { stopStrings: [Tokenizer.endOfText] })
      assert.deepStrictEqual([found.text, found.stopped], ["bc", "stop-string"])
    }))

  it.effect("reads characters of several bytes whole, and shows where the last one was cut off", () =>
    Effect.gen(function*() {
      const text = "aé…😁z"
      assert.strictEqual((yield* recite(text, 1)).text, "é…😁z")
      const stopped = yield* recite(text, 1, { stopStrings: ["😁"] })
      assert.deepStrictEqual([stopped.text, stopped.stopped], ["é…", "stop-string"])
      const cut = yield* recite(text, 1, { maximumNewTokens: utf8("é…😁").length - 1 })
      assert.deepStrictEqual([cut.text, cut.stopped], ["é…\ufffd", "maximum-new-tokens"])
      // A prompt may end in the middle of a character.
      assert.strictEqual((yield* recite(text, 3)).text.replace(/^\ufffd/, ""), "…😁z")
    }))

  it.effect("ends where the positions do, and cuts long prompts only where that is asked for", () =>
    Effect.gen(function*() {
      const checkpoint = yield* untrained({ eos_token_id: null, n_positions: 16 })
      const prompt = Int32Array.from({ length: 14 }, (_, i) => 60 + i)
      const run = (prompt: Int32Array, options: Partial<Generation.Options> = {}) =>
        Effect.map(
          Generation.generate({ checkpoint, prompts: [prompt], maximumNewTokens: 4, ...options }),
          ([it]) => it!
        )
      const short = yield* run(prompt)
      assert.deepStrictEqual([short.tokens.length, short.stopped], [2, "positions"])
      const long = Int32Array.from({ length: 40 }, (_, i) => 60 + i)
      const error = yield* Effect.flip(run(long))
      assert.strictEqual(error._tag, "PromptTooLong")
      assert.match(error.message, /Prompt 1 has 40 tokens, and the model has positions for 16/)
      const cut = yield* run(long, { longPrompts: "cut-start" })
      assert.deepStrictEqual(cut, yield* run(long.slice(-12)))
      assert.strictEqual(cut.stopped, "maximum-new-tokens")
      const half = yield* run(long, { longPrompts: "cut-start", maximumNewTokens: 100 })
      assert.deepStrictEqual([half.tokens.length, half.stopped], [8, "positions"])
    }))
})

wasm("texts that are drawn", (it) => {
  const sampling: Sampling.Settings = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0, repetitionPenalty: 1.1 }
  const prompts = Array.from({ length: 9 }, (_, i) => Int32Array.from({ length: 1 + i % 4 }, (_, k) => 40 + 7 * i + k))
  const names = prompts.map((_, i) => `text ${i}`)

  it.effect("are the same whatever else is drawn, in whatever order and batches", () =>
    cleanly(Effect.gen(function*() {
      const checkpoint = yield* untrained()
      const options = { checkpoint, prompts, names, sampling, seed: 3, maximumNewTokens: 20 }
      const all = yield* Generation.generate(options)
      assert.isAbove(new Set(all.map(({ text }) => text)).size, 7)
      for (const batchSize of [1, 4]) assert.deepStrictEqual(yield* Generation.generate({ ...options, batchSize }), all)
      const order = [7, 2, 5]
      const some = yield* Generation.generate({
        ...options,
        prompts: order.map((i) => prompts[i]!),
        names: order.map((i) => names[i]!)
      })
      assert.deepStrictEqual(some, order.map((i) => all[i]!))
      assert.notDeepEqual(yield* Generation.generate({ ...options, seed: 4 }), all)
    })))

  it.effect("begin with each token as often as the softmax of the logits says", () =>
    Effect.gen(function*() {
      const checkpoint = yield* untrained({ initializer_range: 0.02 })
      const { tf } = yield* Backend
      const prompt = Int32Array.of(72, 105)
      const draws = 2000
      const found = yield* Generation.generate({
        checkpoint,
        prompts: Array.from({ length: draws }, () => prompt),
        sampling: { ...Sampling.greedy, temperature: 0.25, topK: 12 },
        maximumNewTokens: 1
      })
      const model = yield* Checkpoint.modelOf(checkpoint)
      const [logits] = yield* Reference.read(tf, () => {
        const weights = Weights.make(tf, model, Reference.upload(tf, checkpoint.tensors))
        const batch = { batch: 1, time: 2, inputIds: prompt, lengths: Int32Array.of(2) }
        return [model.logits(tf, weights, model.hidden(tf, weights, batch))]
      })
      const last = logits!.slice(257)
      const kept = Array.from(last.keys()).toSorted((a, b) => last[b]! - last[a]!).slice(0, 12)
      const weights = kept.map((token) => Math.exp(last[token]! / 0.25))
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      let statistic = 0
      for (const [index, token] of kept.entries()) {
        const expected = draws * weights[index]! / total
        statistic += (found.filter(({ tokens }) => tokens[0] === token).length - expected) ** 2 / expected
      }
      assert.isTrue(found.every(({ tokens }) => kept.includes(tokens[0]!)))
      // Beyond 45 with eleven degrees of freedom: once in 200,000 seeds.
      assert.isAtMost(statistic, 45)
    }))
})

wasm("generation refuses", (it) => {
  const reason = Effect.fnUntraced(function*(options: Partial<Generation.Options>) {
    const checkpoint = yield* untrained()
    return (yield* Effect.flip(
      Generation.generate({ checkpoint, prompts: [Int32Array.of(1)], maximumNewTokens: 4, ...options })
    )).message
  })

  it.effect("what it cannot go on from", () =>
    Effect.gen(function*() {
      assert.match(yield* reason({ prompts: [Int32Array.of(1), new Int32Array(0)] }), /Example 2: it has no token/)
      assert.match(yield* reason({ prompts: [Int32Array.of(257)] }), /Token 257/)
      assert.match(yield* reason({ maximumNewTokens: 0 }), /at least one token/)
      const { checkpoint } = yield* Reference.load("gpt2-classification")
      assert.match(yield* reason({ checkpoint }), /cannot continue/)
      assert.deepStrictEqual(
        yield* Generation.generate({ checkpoint: yield* untrained(), prompts: [], maximumNewTokens: 4 }),
        []
      )
    }))

  it.effect("a model whose training has diverged", () =>
    cleanly(Effect.gen(function*() {
      const checkpoint = yield* untrained()
      const gain = checkpoint.tensors.get("transformer.ln_f.weight")!
      const data = gain.data.map(() => NaN)
      const tensors = new Map([...checkpoint.tensors, ["transformer.ln_f.weight", { ...gain, data }]])
      assert.match(yield* reason({ checkpoint: { ...checkpoint, tensors } }), /After 0 tokens of example 1 .* diverged/)
    })))
})

wasm("generation with an adapter", (it) => {
  it.effect("writes what the merged model writes, and not what its base does", () =>
    cleanly(Effect.gen(function*() {
      const checkpoint = yield* Checkpoint.fromFiles(AdapterFixtures.files("adapters/gpt2"))
      const { adapter: _, ...base } = checkpoint
      const options = { prompts: [Int32Array.of(259, 245, 259, 226)], maximumNewTokens: 24 }
      const adapted = yield* Generation.generate({ ...options, checkpoint })
      assert.deepStrictEqual(
        adapted,
        yield* Generation.generate({ ...options, checkpoint: yield* Checkpoint.merged(checkpoint) })
      )
      assert.notDeepEqual(adapted, yield* Generation.generate({ ...options, checkpoint: base }))
    })))
})
