/**
 * Texts that a language model writes: each token is computed once, with the keys and values of those before it kept
 * (`GrowingCache`), many texts at a time.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Random from "../random/Random.ts"
import { Backend, type Tf } from "../tensor/Backend.ts"
import type { InvalidAdapter } from "./Adapter.ts"
import type { InvalidConfig, Model, TokenBatch, Weights } from "./Architecture.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Continuation from "./Continuation.ts"
import { turn } from "./EventLoop.ts"
import { InvalidExample } from "./Examples.ts"
import type { UnknownArchitecture } from "./Family.ts"
import * as GenerationBatches from "./GenerationBatches.ts"
import * as GrowingCache from "./GrowingCache.ts"
import * as Memory from "./Memory.ts"
import * as Sampling from "./Sampling.ts"
import * as StopStrings from "./StopStrings.ts"
import * as StopTokens from "./StopTokens.ts"
import * as Tokenizer from "./Tokenizer.ts"
import * as Uploaded from "./Uploaded.ts"

/** Why a text ends: the model said so, a stop string came, it has as many tokens as asked for, or as many as fit. */
export const Stopped = Schema.Literals(["end-of-text", "stop-string", "maximum-new-tokens", "positions"])
export type Stopped = typeof Stopped.Type

/** What is done with a prompt that leaves no room: it is an error, or its beginning is cut off. */
export const LongPrompts = Schema.Literals(["fail", "cut-start"])
export type LongPrompts = typeof LongPrompts.Type

/** What a model wrote after a prompt. */
export interface Generated {
  /** The new tokens, the one that ended the text among them. */
  readonly tokens: Int32Array
  /** Their text, without special tokens, and without what ended it: a token, or a stop string and what follows it. */
  readonly text: string
  readonly stopped: Stopped
}

export interface Options {
  readonly checkpoint: Uploaded.Source & Pick<Checkpoint.Checkpoint, "companions">
  /** Token ids, as the tokenizer gives them with whatever belongs before a text. */
  readonly prompts: ReadonlyArray<Int32Array>
  /**
   * A name for each prompt, by which it gets its random numbers: where it stands in the list unless given. With a seed,
   * a name and the position of a token the draw is settled, whatever else is generated.
   */
  readonly names?: ReadonlyArray<string>
  /** How tokens are chosen: the most likely one unless given. */
  readonly sampling?: Sampling.Settings
  readonly seed?: number
  /** How many tokens to write at most. */
  readonly maximumNewTokens: number
  /** A text ends before the first of these, which may be special tokens. */
  readonly stopStrings?: ReadonlyArray<string>
  /** Tokens that end a text, beside those that the model and its tokenizer name. */
  readonly stopTokens?: Iterable<number>
  /**
   * `"fail"` unless given. With `"cut-start"` a prompt loses what leaves no room for `maximumNewTokens`, but keeps half of
   * the model's positions.
   */
  readonly longPrompts?: LongPrompts
  /**
   * Texts at once, at most (64 unless given): more need more memory, and change no answer beyond rounding. Of long texts
   * fewer are taken, so that a batch needs no more than a gibibyte.
   */
  readonly batchSize?: number
  /** Told how many texts have ended, at each that does. */
  readonly onEnded?: (ended: number) => void
}

/** A prompt after which the model has no position left. */
export class PromptTooLong extends Schema.TaggedError<PromptTooLong>()("PromptTooLong", {
  /** Counted from 0. */
  example: Schema.Int,
  tokens: Schema.Int,
  maximumLength: Schema.Int
}) {
  override get message() {
    return `Prompt ${
      this.example + 1
    } has ${this.tokens} tokens, and the model has positions for ${this.maximumLength} with ` +
      `what it is to write: shorten it, or let its start be cut off (longPrompts "cut-start").`
  }
}

/** A model whose logits are not numbers: its weights are not, or it overflows. */
export class InvalidLogits extends Schema.TaggedError<InvalidLogits>()("InvalidLogits", {
  /** Counted from 0. */
  example: Schema.Int,
  /** How many tokens it had written. */
  tokens: Schema.Int
}) {
  override get message() {
    return `After ${this.tokens} tokens of example ${
      this.example + 1
    } the model's logits are not finite numbers, so that ` +
      `there is no next token: its training has diverged, or its weights are damaged.`
  }
}

/** What only generation can fail with. */
export const GenerationFailure = Schema.Union([PromptTooLong, InvalidLogits])

export type GenerationError =
  | typeof GenerationFailure.Type
  | InvalidExample
  | Tokenizer.TokenOutOfRange
  | Tokenizer.InvalidTokenizer
  | Checkpoint.MissingFile
  | UnknownArchitecture
  | InvalidConfig
  | InvalidAdapter
  | Memory.DoesNotFit
  | Memory.OutOfMemory

/** A text on its way. */
interface Text {
  readonly example: number
  readonly name: string
  readonly prompt: Int32Array
  readonly tokens: Array<number>
  readonly watch: StopStrings.Watch | undefined
}

/** The next tokens of each text, padded on the right. */
const padded = (texts: ReadonlyArray<ArrayLike<number>>, paddingId: number): TokenBatch => {
  const lengths = Int32Array.from(texts, ({ length }) => length)
  const time = lengths.reduce((longest, length) => Math.max(longest, length), 0)
  const inputIds = new Int32Array(texts.length * time).fill(paddingId)
  for (const [row, text] of texts.entries()) inputIds.set(text, row * time)
  return { batch: texts.length, time, inputIds, lengths }
}

/** The logits after the last token of each text, row-major `[texts, vocabulary]`. The cache has grown by the batch. */
const forward = (
  tf: Tf,
  model: Model,
  weights: Weights,
  batch: TokenBatch,
  cache: GrowingCache.GrowingCache
): Effect.Effect<Float32Array> =>
  // Not to be interrupted, since nobody would dispose of what is still to come.
  Effect.uninterruptible(Effect.promise(async () => {
    const rows = Int32Array.from(batch.lengths, (length, row) => row * batch.time + length - 1)
    const logits = tf.tidy(() => model.logits(tf, weights, model.hidden(tf, weights, batch, { cache, rows })))
    cache.advance(batch.lengths)
    try {
      return await logits.data<"float32">()
    } finally {
      logits.dispose()
    }
  }))

/** Whether a next token can be chosen from a row of logits: minus infinity is how a model rules a token out. */
const usable = (logits: Float32Array): boolean => {
  let largest = -Infinity
  for (const logit of logits) {
    if (Number.isNaN(logit)) return false
    if (logit > largest) largest = logit
  }
  return Number.isFinite(largest)
}

/** The prompts as they are given to the model, checked. */
const prepare = Effect.fnUntraced(function*(
  model: Model,
  { longPrompts = "fail", maximumNewTokens, prompts }: Options
): Effect.fn.Return<ReadonlyArray<Int32Array>, InvalidExample | Tokenizer.TokenOutOfRange | PromptTooLong> {
  if (model.head !== "causal-language-modeling") {
    return yield* new InvalidExample({ example: -1, reason: "a classifier cannot continue them" })
  }
  if (!(Number.isSafeInteger(maximumNewTokens) && maximumNewTokens > 0)) {
    const reason = `maximumNewTokens is ${maximumNewTokens}, and at least one token is to be written`
    return yield* new InvalidExample({ example: -1, reason })
  }
  yield* Tokenizer.checkRange(prompts, model.vocabularySize)
  const { maximumLength } = model
  const room = longPrompts === "fail"
    ? maximumLength
    : Math.max(maximumLength - maximumNewTokens, Math.ceil(maximumLength / 2))
  const ready: Array<Int32Array> = []
  for (const [example, prompt] of prompts.entries()) {
    if (prompt.length === 0) {
      return yield* new InvalidExample({ example, reason: "it has no token that the model could go on from" })
    }
    if (longPrompts === "fail" && prompt.length >= maximumLength) {
      return yield* new PromptTooLong({ example, tokens: prompt.length, maximumLength })
    }
    ready.push(prompt.slice(-room))
  }
  return ready
})

/** What decides when and how texts go on. */
interface Rules {
  readonly sampling: Sampling.Settings
  readonly seed: number
  readonly maximumNewTokens: number
  readonly maximumLength: number
  readonly stopTokens: ReadonlySet<number>
  /** The stop strings that are special tokens, which have no text to be found in. */
  readonly stopSpecial: ReadonlySet<number>
}

/** What a text is, if it ends with the token that it has just got. */
const ended = (tokenizer: Tokenizer.Tokenizer, text: Text, rules: Rules): Generated | undefined => {
  const { prompt, tokens, watch } = text
  const token = tokens.at(-1)!
  const as = (stopped: Stopped, written: string = Continuation.decode(tokenizer, prompt, tokens)): Generated => ({
    tokens: Int32Array.from(tokens),
    text: written,
    stopped
  })
  const withoutLast = () => Continuation.decode(tokenizer, prompt, tokens.slice(0, -1))
  if (rules.stopSpecial.has(token)) return as("stop-string", withoutLast())
  if (rules.stopTokens.has(token)) return as("end-of-text", withoutLast())
  const before = watch?.push(token)
  if (before !== undefined) return as("stop-string", before)
  if (tokens.length >= rules.maximumNewTokens) return as("maximum-new-tokens")
  return prompt.length + tokens.length >= rules.maximumLength ? as("positions") : undefined
}

/** The next token of a text. */
const choose = (text: Text, logits: Float32Array, { sampling, seed }: Rules): number =>
  Sampling.next(
    logits,
    sampling.repetitionPenalty === 1 ? [] : [...text.prompt, ...text.tokens],
    sampling,
    () => Random.make(seed, `generate ${text.name}`, text.tokens.length)
  )

/** Writes texts together until the last of them ends; those that have ended take no part any more. */
const write = Effect.fnUntraced(function*(
  { model, rules, tf, tokenizer, weights }: {
    readonly tf: Tf
    readonly model: Model
    readonly weights: Weights
    readonly tokenizer: Tokenizer.Tokenizer
    readonly rules: Rules
  },
  batch: ReadonlyArray<Text>,
  onText: (text: Text, generated: Generated) => void
) {
  yield* Effect.acquireUseRelease(
    Effect.sync(() => GrowingCache.make(tf, { batch: batch.length, layers: model.layers })),
    Effect.fnUntraced(function*(cache: GrowingCache.GrowingCache) {
      let texts = batch
      let fresh: ReadonlyArray<ArrayLike<number>> = texts.map(({ prompt }) => prompt)
      while (texts.length > 0) {
        const logits = yield* forward(tf, model, weights, padded(fresh, model.paddingId ?? 0), cache)
        const going: Array<number> = []
        for (const [row, text] of texts.entries()) {
          const own = logits.subarray(row * model.outputs, (row + 1) * model.outputs)
          if (!usable(own)) return yield* new InvalidLogits({ example: text.example, tokens: text.tokens.length })
          text.tokens.push(choose(text, own, rules))
          const whole = ended(tokenizer, text, rules)
          if (whole === undefined) going.push(row)
          else onText(text, whole)
        }
        if (going.length > 0 && going.length < texts.length) tf.tidy(() => cache.keep(going))
        texts = going.map((row) => texts[row]!)
        fresh = texts.map(({ tokens }) => tokens.slice(-1))
        yield* turn
      }
    }),
    (cache) => Effect.sync(() => cache.dispose())
  )
})

/** The ids of the strings that are special tokens, and the other strings. */
const split = (tokenizer: Tokenizer.Tokenizer, strings: ReadonlyArray<string>) => {
  const special: Array<number> = [], written: Array<string> = []
  for (const string of strings) {
    const id = tokenizer.idOf(string)
    if (id !== undefined && tokenizer.decode([id], { skipSpecialTokens: true }) === "") special.push(id)
    else if (string !== "") written.push(string)
  }
  return { special: new Set(special), written }
}

/** What of the options decides on memory, checked. */
const batching = Effect.fnUntraced(function*(options: Options) {
  const { batchSize = 64, checkpoint, maximumNewTokens } = options
  const model = yield* Checkpoint.modelOf(checkpoint)
  const prompts = yield* prepare(model, options)
  const held = Uploaded.bytesOf(checkpoint)
  const found: GenerationBatches.Options = { model, held, prompts, maximumNewTokens, batchSize }
  yield* GenerationBatches.ensureWeights(found)
  return found
})

/** The most bytes that {@link generate} will take of the backend at once, estimated. */
export const bytesOf: (options: Options) => Effect.Effect<number, GenerationError, Backend> = Effect.fnUntraced(
  function*(options: Options) {
    const found = yield* batching(options)
    const make = (weights: Weights) => GenerationBatches.make(weights, found)
    const { bytes } = yield* Uploaded.using(found.model, options.checkpoint, make).pipe(
      Memory.catchExhaustion("prediction")
    )
    return bytes
  }
)

/**
 * Continues every prompt, and answers in their order. Nothing stays on the backend afterwards.
 *
 * A text ends with one of the model's or the tokenizer's end-of-text tokens (`StopTokens`), with a stop string, with its
 * last allowed token, or where the model has no more positions.
 */
export const generate: (
  options: Options
) => Effect.Effect<ReadonlyArray<Generated>, GenerationError, Backend> = Effect.fnUntraced(
  function*(options: Options) {
    const { checkpoint, maximumNewTokens, names, sampling = Sampling.greedy, seed = 0 } = options
    if (options.prompts.length === 0) return []
    const { tf } = yield* Backend
    const found = yield* batching(options)
    const { model, prompts } = found
    const tokenizer = yield* Checkpoint.tokenizerOf(checkpoint)
    const { special, written } = split(tokenizer, options.stopStrings ?? [])
    const rules: Rules = {
      sampling,
      seed,
      maximumNewTokens,
      maximumLength: model.maximumLength,
      stopTokens: new Set([...StopTokens.of(checkpoint, tokenizer), ...(options.stopTokens ?? [])]),
      stopSpecial: special
    }
    const generated = new Map<number, Generated>()
    yield* Uploaded.using(
      model,
      checkpoint,
      Effect.fnUntraced(function*(weights) {
        for (const batch of (yield* GenerationBatches.make(weights, found)).batches) {
          const texts = batch.map((example): Text => ({
            example,
            name: names?.[example] ?? String(example),
            prompt: prompts[example]!,
            tokens: [],
            watch: written.length === 0 ? undefined : StopStrings.watch(tokenizer, prompts[example]!, written)
          }))
          yield* write({ tf, model, weights, tokenizer, rules }, texts, ({ example }, one) => {
            generated.set(example, one)
            options.onEnded?.(generated.size)
          })
        }
      })
    ).pipe(Memory.catchExhaustion("prediction"))
    return prompts.map((_, example) => generated.get(example)!)
  }
)
