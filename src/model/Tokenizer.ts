/**
 * Text to token ids and back, by a tokenizer.json of the Hugging Face hub.
 *
 * The encoding itself is @huggingface/tokenizers, which agrees with the Rust tokenizers; what it leaves out
 * (truncation, batches, checks) is here.
 */
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** The two files of a tokenizer in the hub layout. */
export interface Files {
  /** The bytes of tokenizer.json. */
  readonly tokenizer: Uint8Array
  /** The bytes of tokenizer_config.json. */
  readonly config: Uint8Array
}

/** The names of a tokenizer's files in the hub layout. */
export const fileNames = { tokenizer: "tokenizer.json", config: "tokenizer_config.json" } as const

export interface Tokenizer {
  readonly files: Files
  /** One more than the largest id it can give. */
  readonly vocabularySize: number
  readonly beginningOfTextId: number | undefined
  readonly endOfTextId: number | undefined
  readonly paddingId: number | undefined
  readonly tokenOf: (id: number) => string | undefined
  readonly idOf: (token: string) => number | undefined
  readonly encode: (text: string, options?: EncodeOptions) => Int32Array
  readonly decode: (ids: Iterable<number>, options?: DecodeOptions) => string
}

export interface EncodeOptions {
  /** Cut the text on the right so that it takes at most so many tokens, special tokens included. */
  readonly maximumLength?: number
  /** Add the special tokens that the tokenizer's template puts around a text (true unless given). */
  readonly specialTokens?: boolean
}

export interface DecodeOptions {
  /** Leave special tokens out of the text (false unless given). */
  readonly skipSpecialTokens?: boolean
}

/** The files do not describe a tokenizer that we can run. */
export class InvalidTokenizer extends Schema.TaggedError<InvalidTokenizer>()("InvalidTokenizer", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.file} does not describe a usable tokenizer: ${this.reason}. ` +
      `It must be the tokenizer that was saved together with the model.`
  }
}

/** A token id that the model has no embedding for. */
export class TokenOutOfRange extends Schema.TaggedError<TokenOutOfRange>()("TokenOutOfRange", {
  id: Schema.Int,
  /** The example in which the id stands, counted from 0. */
  example: Schema.Int,
  /** Its position in the example, counted from 0. */
  position: Schema.Int,
  vocabularySize: Schema.Int
}) {
  override get message() {
    return `Token ${this.id} (example ${this.example}, position ${this.position}) is outside the model's vocabulary ` +
      `of ${this.vocabularySize}. Use the tokenizer that belongs to the model, or enlarge the model's embedding.`
  }
}

/** Fails with the first id outside [0, `vocabularySize`). */
export const checkRange = (
  examples: ReadonlyArray<Int32Array>,
  vocabularySize: number
): Effect.Effect<void, TokenOutOfRange> =>
  Effect.suspend(() => {
    for (const [example, ids] of examples.entries()) {
      for (let position = 0; position < ids.length; position++) {
        const id = ids[position]!
        if (id < 0 || id >= vocabularySize) {
          return Effect.fail(new TokenOutOfRange({ id, example, position, vocabularySize }))
        }
      }
    }
    return Effect.void
  })

type Json = Readonly<Record<string, unknown>>

const parseJson = (file: string, bytes: Uint8Array): Effect.Effect<Json, InvalidTokenizer> =>
  Effect.try({
    try: () => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown,
    catch: (cause) => new InvalidTokenizer({ file, reason: `it is not JSON in UTF-8 (${(cause as Error).message})` })
  }).pipe(
    Effect.flatMap((value) =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Effect.succeed(value as Json)
        : Effect.fail(new InvalidTokenizer({ file, reason: "it is not a JSON object" }))
    )
  )

/** A special token in tokenizer_config.json is its text, or an object with the text as `content`. */
const specialToken = (config: Json, key: string): string | undefined => {
  const value = config[key]
  if (typeof value === "string") return value
  const content = (value as { readonly content?: unknown } | null | undefined)?.content
  return typeof content === "string" ? content : undefined
}

/** More tokens than any vocabulary has: the library makes a list as long as the largest id. */
const mostTokens = 2 ** 24

/** The library takes tokens and ids for granted, so what the file says is checked here. */
const invalidToken = (json: Json): string | undefined => {
  const isId = (id: unknown) => Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < mostTokens
  const refusal = (token: unknown, id: unknown) =>
    `token ${brief(token)} has the id ${brief(id)}, which is not an integer from 0 to ${mostTokens - 1}`
  const vocabulary = (json["model"] as { readonly vocab?: unknown } | null | undefined)?.vocab
  if (typeof vocabulary !== "object" || vocabulary === null) return "its model has no vocabulary"
  // A unigram model lists its tokens, so that an id is a position.
  for (const [token, id] of Array.isArray(vocabulary) ? [] : Object.entries(vocabulary)) {
    if (!isId(id)) return refusal(token, id)
  }
  const added = json["added_tokens"] ?? []
  if (!Array.isArray(added)) return "its added_tokens are not a list"
  for (const token of added as ReadonlyArray<{ readonly content?: unknown; readonly id?: unknown } | null>) {
    if (typeof token?.content !== "string") return "one of its added_tokens has no content"
    if (!isId(token.id)) return refusal(token.content, token.id)
  }
  return undefined
}

/** A value of the file for a message. */
const brief = (value: unknown): string => {
  const text = typeof value === "object" && value !== null ? "an object" : String(JSON.stringify(value))
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

/** Reads a tokenizer from the bytes of its two files. */
export const fromFiles: (files: Files) => Effect.Effect<Tokenizer, InvalidTokenizer> = Effect.fnUntraced(
  function*(files: Files) {
    const json = yield* parseJson(fileNames.tokenizer, files.tokenizer)
    const config = yield* parseJson(fileNames.config, files.config)
    const invalid = invalidToken(json)
    if (invalid !== undefined) return yield* new InvalidTokenizer({ file: fileNames.tokenizer, reason: invalid })
    const inner = yield* Effect.try({
      try: () => {
        const made = new HuggingFaceTokenizer(json, config)
        // Some of what a file lacks shows only when it is used.
        const { ids } = made.encode("a a", { add_special_tokens: true })
        if (ids.length > 0) made.decode(ids, { skip_special_tokens: false })
        return made
      },
      catch: (cause) =>
        new InvalidTokenizer({
          file: fileNames.tokenizer,
          reason: cause instanceof Error ? cause.message : String(cause)
        })
    })
    let largest = -1
    for (const id of (inner.get_vocab(true) as Map<string, number>).values()) largest = Math.max(largest, id)
    const idOf = (key: string) => {
      const token = specialToken(config, key)
      return token === undefined ? undefined : inner.token_to_id(token)
    }
    const encode: Encode = (text, { specialTokens }) =>
      Int32Array.from(inner.encode(text, { add_special_tokens: specialTokens }).ids)
    const tokenizer: Tokenizer = {
      files,
      vocabularySize: largest + 1,
      beginningOfTextId: idOf("bos_token"),
      endOfTextId: idOf("eos_token"),
      paddingId: idOf("pad_token"),
      tokenOf: (id) => inner.id_to_token(id),
      idOf: (token) => inner.token_to_id(token),
      encode: (text, options) => fit(encode, text, options).tokens,
      decode: (ids, options) => {
        const list = Array.from(ids)
        // The library refuses an empty list.
        return list.length === 0
          ? ""
          : inner.decode(list, {
            skip_special_tokens: options?.skipSpecialTokens ?? false,
            clean_up_tokenization_spaces: false
          })
      }
    }
    return tokenizer
  }
)

/** Encodes the whole of a text. */
type Encode = (text: string, options: { readonly specialTokens: boolean }) => Int32Array

/** A text of at most `maximumLength` tokens, and whether it was cut for that. */
const fit = (
  encode: Encode,
  text: string,
  { maximumLength = Infinity, specialTokens = true }: EncodeOptions = {}
): { readonly tokens: Int32Array; readonly isCut: boolean } => {
  const ids = encode(text, { specialTokens })
  if (ids.length <= maximumLength) return { tokens: ids, isCut: false }
  if (!specialTokens) return { tokens: ids.slice(0, maximumLength), isCut: true }
  // The text is cut, the special tokens around it are not.
  const plain = encode(text, { specialTokens: false })
  const before = prefixLength(ids, plain)
  const after = ids.length - plain.length - before
  const kept = Math.max(0, maximumLength - before - after)
  const cut = [...ids.slice(0, before), ...plain.slice(0, kept), ...ids.slice(ids.length - after)]
  return { tokens: Int32Array.from(cut.slice(0, maximumLength)), isCut: true }
}

/** How many ids stand before `inner` in `outer`, which is `inner` with special tokens around it. */
const prefixLength = (outer: Int32Array, inner: Int32Array): number => {
  for (let start = 0; start + inner.length <= outer.length; start++) {
    if (inner.every((id, i) => outer[start + i] === id)) return start
  }
  return 0
}

/** Texts as token ids, in their order. */
export interface Encoded {
  readonly tokens: ReadonlyArray<Int32Array>
  /** How many of the texts were cut. */
  readonly truncated: number
}

/** Encodes many texts for a model: each id is checked against the model's vocabulary. */
export const encodeAll = (
  tokenizer: Tokenizer,
  texts: Iterable<string>,
  options: EncodeOptions & { readonly vocabularySize: number }
): Effect.Effect<Encoded, TokenOutOfRange> =>
  Effect.suspend(() => {
    const fitted = Array.from(texts, (text) => fit(tokenizer.encode, text, options))
    const tokens = fitted.map((one) => one.tokens)
    const truncated = fitted.filter(({ isCut }) => isCut).length
    return Effect.as(checkRange(tokens, options.vocabularySize), { tokens, truncated })
  })

/**
 * GPT-2's table from bytes to printable characters, in the order of GPT-2's vocabulary: first the bytes that print as
 * themselves, then the others as the characters from U+0100 on (`bytes_to_unicode` in
 * https://github.com/openai/gpt-2/blob/master/src/encoder.py).
 */
const byteAlphabet = (): ReadonlyArray<string> => {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)
  const bytes = Array.from({ length: 256 }, (_, byte) => byte)
  const themselves = bytes.filter(printable).map((byte) => String.fromCodePoint(byte))
  const shifted = bytes.filter((byte) => !printable(byte)).map((_, index) => String.fromCodePoint(0x100 + index))
  return [...themselves, ...shifted]
}

/** The only special token of {@link byteLevel}: it begins, ends and pads texts, as in GPT-2. */
export const endOfText = "<|endoftext|>"

/**
 * The files of a byte-level tokenizer in GPT-2's format without merges: one token a byte of UTF-8 (ids 0 to 255) and
 * `<|endoftext|>` (id 256). No special token is added around a text. transformers loads it as it is.
 */
export const byteLevel = (): Files => {
  const alphabet = byteAlphabet()
  const special = alphabet.length
  const pre = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false }
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{
      id: special,
      content: endOfText,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true
    }],
    normalizer: null,
    pre_tokenizer: pre,
    post_processor: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    decoder: pre,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries([...alphabet, endOfText].map((token, id) => [token, id])),
      merges: []
    }
  }
  const config = {
    add_prefix_space: false,
    bos_token: endOfText,
    clean_up_tokenization_spaces: false,
    eos_token: endOfText,
    model_max_length: 1e30,
    pad_token: endOfText,
    tokenizer_class: "PreTrainedTokenizerFast"
  }
  const bytes = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)
  return { tokenizer: bytes(tokenizer), config: bytes(config) }
}
