/** Chat templates, conversations and tokenizers that several tests share, with what transformers makes of them. */
import { Effect } from "effect"
import * as Result from "effect/Result"
import { readFileSync } from "node:fs"
import type { Message } from "../../src/dataset/Conversation.ts"
import * as ChatTemplate from "../../src/model/ChatTemplate.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"

interface Case {
  readonly template: string
  readonly conversation: number
  /** What the template raised, in place of the rest. */
  readonly raised?: string
  readonly text: string
  readonly withPrompt: string
  readonly ids: ReadonlyArray<number>
  /** Which tokens transformers says that the assistant wrote, where the template marks them. */
  readonly mask?: ReadonlyArray<0 | 1>
}

const read = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(`../fixtures/${path}`, import.meta.url)))

export const json = (path: string): any => JSON.parse(new TextDecoder().decode(read(path)))

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

export const fixture: {
  readonly now: string
  readonly addedTokens: ReadonlyArray<string>
  readonly templates: Readonly<Record<string, string>>
  readonly conversations: ReadonlyArray<ReadonlyArray<Message>>
  readonly cases: ReadonlyArray<Case>
} = json("chat/templates.json")

const made = (tokenizer: any, config: unknown) =>
  Effect.runSync(Tokenizer.fromFiles({ tokenizer: bytes(tokenizer), config: bytes(config) }))

const bpe = json("hf/gpt2/tokenizer.json")

const added = (content: string, index: number) => ({
  id: 384 + index,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true
})

const ends = { bos_token: "<|endoftext|>", eos_token: "<|endoftext|>", pad_token: "<|pad|>" }

/** The BPE of the causal models with the tokens that the templates use. */
export const bpeTokenizer = made(
  { ...bpe, added_tokens: [...bpe.added_tokens, ...fixture.addedTokens.map(added)] },
  ends
)

/** One in the manner of Llama 2: a space is put before every stretch, and `<s>` before a text. */
export const spacedTokenizer = made(json("chat/spaced-tokenizer.json"), {
  bos_token: "<s>",
  eos_token: "</s>",
  unk_token: "<unk>"
})

const spaced = json("chat/spaced-tokenizer.json")
const spacedConfig = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" }
const metaspace = (prepend_scheme: string) =>
  made({
    ...spaced,
    normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: "\u2581", prepend_scheme, split: false }
  }, spacedConfig)

/** Tokenizers of the kinds that models have, with all that makes them cut a text differently. */
export const kinds: Readonly<Record<string, Tokenizer.Tokenizer>> = {
  bytes: bpeTokenizer,
  composing: made(
    { ...bpe, normalizer: { type: "NFC" }, added_tokens: [...bpe.added_tokens, ...fixture.addedTokens.map(added)] },
    ends
  ),
  spaced: spacedTokenizer,
  first: metaspace("first"),
  always: metaspace("always"),
  never: metaspace("never")
}

/** In the manner of RoBERTa: a tokenizer of bytes with a token before and one after a text. */
export const robertaTokenizer = made({
  ...bpe,
  pre_tokenizer: { ...bpe.pre_tokenizer, add_prefix_space: true },
  post_processor: {
    type: "RobertaProcessing",
    sep: ["<|pad|>", 1],
    cls: ["<|endoftext|>", 0],
    trim_offsets: true,
    add_prefix_space: true
  }
}, ends)

export const bertTokenizer = made(
  json("hf/gpt2-classification/tokenizer.json"),
  json("hf/gpt2-classification/tokenizer_config.json")
)

export const template = (source: string, options: ChatTemplate.Options = {}): ChatTemplate.ChatTemplate =>
  Result.getOrThrow(ChatTemplate.make(source, { specialTokens: ends, now: new Date(fixture.now), ...options }))

export const named = (name: string): ChatTemplate.ChatTemplate => template(fixture.templates[name]!)

/** The same text without saying what the assistant wrote. */
export const untagged = (source: string): ChatTemplate.ChatTemplate =>
  template(
    source.replace(/\{%(-?) (end)?generation (-?)%\}/g, (_, before, end, after) =>
      `{%${before} ${end === undefined ? "if true" : "endif"} ${after}%}`)
  )
