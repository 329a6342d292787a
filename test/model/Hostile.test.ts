/**
 * Files of a model that are broken or made to do harm: each must end in an error that says which file and what, at once,
 * and never in a crash.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schema } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import * as ChatTemplate from "../../src/model/ChatTemplate.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as PretrainedModel from "../../src/model/PretrainedModel.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"

type Files = Map<string, Uint8Array>

const folder = (name: string): Files => {
  const url = new URL(`../fixtures/hf/${name}/`, import.meta.url)
  const own = /^(config|generation_config|tokenizer|tokenizer_config)\.json$|^model\.safetensors$/
  return new Map(
    readdirSync(url).filter((file) => own.test(file)).map((
      file
    ) => [file, new Uint8Array(readFileSync(new URL(file, url)))])
  )
}
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const parse = (files: Files, file: string) => JSON.parse(new TextDecoder().decode(files.get(file)))
const deep = "[".repeat(100_000) + "]".repeat(100_000)

/** All that is done with a model's files before it is trained. */
const use = Effect.fnUntraced(function*(files: Files) {
  const checkpoint = yield* Checkpoint.fromFiles(files)
  const tokenizer = yield* Checkpoint.tokenizerOf(checkpoint)
  const { vocabularySize } = yield* Checkpoint.modelOf(checkpoint)
  const { tokens: [ids] } = yield* Tokenizer.encodeAll(tokenizer, ["hello, wörld <|endoftext|> \ud800"], {
    vocabularySize
  })
  tokenizer.decode(ids!)
  return { checkpoint, tokenizer, ids: ids! }
})

const Known = Schema.Union([PretrainedModel.ModelError, ChatTemplate.ChatTemplateError])

/** The declared error that an effect fails with; `undefined` where it succeeds. Anything else fails the test. */
const errorOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return undefined
    const error = Cause.squash(exit.cause)
    if (!Schema.is(Known)(error)) assert.fail(`not a declared error: ${Cause.pretty(exit.cause)}`)
    // For a person to read, whatever the files are like.
    assert.isBelow(error.message.length, 2_000)
    return error
  })

const refuses = (what: string, files: Files, tag: string, message: RegExp) =>
  it.effect(`refuses ${what}`, () =>
    Effect.gen(function*() {
      const error = yield* errorOf(use(files))
      assert.strictEqual(error?._tag, tag, error?.message)
      assert.match(error!.message, message)
    }))

const gpt2 = folder("gpt2")
const edited = (file: string, bytes: Uint8Array, files = gpt2): Files => new Map(files).set(file, bytes)

describe("a model's files", () => {
  for (const file of ["config.json", "tokenizer.json", "tokenizer_config.json"]) {
    const tag = file === "config.json" ? "InvalidFile" : "InvalidTokenizer"
    const named = new RegExp(file.replace(".", "\\."))
    refuses(`an empty ${file}`, edited(file, new Uint8Array(0)), tag, named)
    refuses(`a ${file} that is cut`, edited(file, gpt2.get(file)!.subarray(0, 100)), tag, named)
    refuses(`a ${file} that is not UTF-8`, edited(file, Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), tag, named)
    refuses(`a ${file} in UTF-16`, edited(file, new Uint8Array(Buffer.from("\ufeff{}", "utf16le"))), tag, named)
    refuses(`a ${file} that holds null`, edited(file, json(null)), tag, named)
    refuses(`a ${file} nested without end`, edited(file, new TextEncoder().encode(deep)), tag, named)
  }
  refuses(
    "empty weights",
    edited("model.safetensors", new Uint8Array(0)),
    "MalformedSafetensors",
    /^model\.safetensors/
  )
  refuses(
    "pickled weights",
    edited("model.safetensors", new Uint8Array(Buffer.from("PK\x03\x04".padEnd(64)))),
    "MalformedSafetensors",
    /header/
  )
  it.effect("reads files that begin with a byte order mark", () =>
    Effect.gen(function*() {
      const marked = new Map(gpt2)
      for (const [name, bytes] of gpt2) {
        if (name.endsWith(".json")) marked.set(name, new Uint8Array(Buffer.concat([Buffer.from("\ufeff"), bytes])))
      }
      assert.isUndefined(yield* errorOf(use(marked)))
    }))
})

describe("any file of a model", () => {
  const Damage = Schema.Array(Schema.Struct({
    at: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true })),
    byte: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
  })).check(Schema.isMinLength(1), Schema.isMaxLength(4))
  for (const file of [...gpt2.keys()].filter((name) => name !== "generation_config.json")) {
    it.effect.prop(
      `is used or refused when bytes of ${file} are changed`,
      [Damage],
      ([damage]) =>
        Effect.gen(function*() {
          const bytes = gpt2.get(file)!.slice()
          // Of weights only the header says what to do.
          const length = Math.min(bytes.length, 3_000)
          for (const { at, byte } of damage) bytes[Math.floor(at * length)] = byte
          yield* errorOf(use(edited(file, bytes)))
        })
    )
  }
})

describe("a config.json", () => {
  const families = ["gpt2", "llama", "qwen3", "bert", "roberta", "distilbert"].map((name) =>
    [name, folder(name)] as const
  )

  for (const [name, files] of families) {
    const config = parse(files, "config.json")
    it.effect(`of ${name} may hold anything in any field`, () =>
      Effect.gen(function*() {
        const values = [1e9, 2 ** 31 - 1, 1e300, -1, 0, 1.5, true, null, "x", "\u0000", [], {}, [null], { a: { b: 1 } }]
        for (const field of Object.keys(config)) {
          for (const value of values) {
            yield* errorOf(use(edited("config.json", json({ ...config, [field]: value }), files)))
          }
        }
      }))

    it.effect(`of ${name} may not ask for sizes that no model has, nor for others than its weights'`, () =>
      Effect.gen(function*() {
        const fields = Object.keys(config).filter((field) =>
          /^(vocab_size|n_embd|n_layer|n_positions|hidden_size|num_hidden_layers|intermediate_size|max_position_embeddings|head_dim|dim|n_layers|hidden_dim)$/
            .test(field) && !(field === "max_position_embeddings" && (name === "llama" || name === "qwen3"))
        )
        assert.isAbove(fields.length, 3)
        for (const field of fields) {
          for (const value of [config[field] + 2, 1e9]) {
            const error = yield* errorOf(use(edited("config.json", json({ ...config, [field]: value }), files)))
            assert.include(["InvalidConfig", "MismatchedTensors"], error?._tag, `${field} ${value}`)
          }
        }
      }))
  }

  const text = (source: string) => edited("config.json", new TextEncoder().encode(source))
  refuses(
    "a config with a model_type nested without end",
    text(`{"model_type":${deep}}`),
    "UnknownArchitecture",
    /model_type/
  )
  refuses(
    "a config with a model_type that is no text",
    text("{\"model_type\":{\"toString\":1}}"),
    "UnknownArchitecture",
    /model_type/
  )
  refuses(
    "a config of the prototype",
    text("{\"model_type\":\"__proto__\",\"architectures\":[\"constructor\"]}"),
    "UnknownArchitecture",
    /__proto__/
  )
  refuses("an empty config", text("{}"), "UnknownArchitecture", /implemented are/)
  refuses(
    "a config with a field nested without end",
    text(`{"model_type":"gpt2","architectures":["GPT2LMHeadModel"],"n_layer":${deep}}`),
    "InvalidConfig",
    /n_layer/
  )
})

describe("an index of shards", () => {
  const { tensors } = Effect.runSync(Safetensors.decode(gpt2.get("model.safetensors")!))
  const names = [...tensors.keys()]
  const half = names.slice(0, 10), rest = names.slice(10)
  const shard = (held: ReadonlyArray<string>) =>
    Safetensors.encode(held.map((name) => [name, tensors.get(name)!] as const))
  const sharded = (
    places: unknown,
    shards: Readonly<Record<string, ReadonlyArray<string>>> = { "a.safetensors": half, "b.safetensors": rest }
  ): Files => {
    const files = new Map(gpt2)
    files.delete("model.safetensors")
    for (const [name, held] of Object.entries(shards)) files.set(name, shard(held))
    return files.set("model.safetensors.index.json", json({ weight_map: places }))
  }
  const right = Object.fromEntries(names.map((name) => [name, half.includes(name) ? "a.safetensors" : "b.safetensors"]))
  const place = (name: string, shard: unknown) => sharded({ ...right, [name]: shard })

  it.effect("is followed", () =>
    Effect.gen(function*() {
      const { checkpoint } = yield* use(sharded(right))
      assert.deepStrictEqual(checkpoint, yield* Checkpoint.fromFiles(gpt2))
    }))

  for (
    const path of [
      "../model.safetensors",
      "/etc/passwd",
      "sub/a.safetensors",
      "..",
      ".",
      "",
      "a\\b",
      "a\u0000b",
      3,
      null,
      ["a"]
    ]
  ) {
    refuses(
      `a shard called ${JSON.stringify(path)}`,
      place(half[0]!, path),
      "InvalidFile",
      /index\.json: it places .* no name of a file/
    )
  }
  refuses("a shard that is not there", place(half[0]!, "c.safetensors"), "MissingFile", /c\.safetensors/)
  refuses(
    "a tensor that is in another shard",
    place(half[0]!, "b.safetensors"),
    "InvalidFile",
    /index\.json: it places .* in b\.safetensors, which does not hold it; a\.safetensors does/
  )
  refuses(
    "a tensor that is in no shard",
    place("nowhere", "a.safetensors"),
    "InvalidFile",
    /nowhere .*does not hold it/
  )
  refuses(
    "a tensor in two shards",
    sharded(right, { "a.safetensors": half, "b.safetensors": [half[3]!, ...rest] }),
    "InvalidFile",
    /b\.safetensors: it holds .*, which a\.safetensors holds too/
  )
  refuses(
    "a shard that is cut",
    new Map(sharded(right)).set("b.safetensors", shard(rest).subarray(0, 3000)),
    "MalformedSafetensors",
    /^b\.safetensors/
  )
  for (const places of [undefined, null, [], ["a.safetensors"], "a.safetensors", 3]) {
    refuses(`a weight_map that is ${JSON.stringify(places)}`, sharded(places), "InvalidFile", /weight_map/)
  }
  refuses("an index of nothing", sharded({}), "MismatchedTensors", /Missing/)
  refuses(
    "an index that is cut",
    sharded(right).set("model.safetensors.index.json", new TextEncoder().encode("{\"weight_map\":")),
    "InvalidFile",
    /index\.json/
  )
})

describe("a tokenizer", () => {
  const tokenizer = parse(gpt2, "tokenizer.json")
  const config = parse(gpt2, "tokenizer_config.json")
  const edit = (changes: object) => edited("tokenizer.json", json({ ...tokenizer, ...changes }))
  const vocabulary = (vocab: unknown) => edit({ model: { ...tokenizer.model, vocab } })
  const added = (changes: object) =>
    edit({ added_tokens: [{ ...tokenizer.added_tokens[0], content: "hello", ...changes }] })

  refuses(
    "an id beyond the embedding",
    vocabulary({ ...tokenizer.model.vocab, h: 384 }),
    "TokenOutOfRange",
    /384 .*vocabulary of 384/
  )
  refuses("an added id beyond the embedding", added({ id: 5000 }), "TokenOutOfRange", /5000/)
  // The larger ones wrapped around to an id of another token, or kept the library busy for minutes.
  for (const id of [-1, 1.5, 2 ** 24, 2 ** 31, 2 ** 32, 2 ** 32 + 5, 1e15, "1", null, [], {}]) {
    refuses(
      `the id ${JSON.stringify(id)}`,
      vocabulary({ ...tokenizer.model.vocab, h: id }),
      "InvalidTokenizer",
      /"h" has the id/
    )
    refuses(`an added token with the id ${JSON.stringify(id)}`, added({ id }), "InvalidTokenizer", /"hello" has the id/)
  }
  for (const vocab of [null, "abc", 3, true]) {
    refuses(`the vocabulary ${JSON.stringify(vocab)}`, vocabulary(vocab), "InvalidTokenizer", /no vocabulary/)
  }
  refuses("an added token without content", added({ content: 3 }), "InvalidTokenizer", /no content/)
  refuses("added tokens that are no list", edit({ added_tokens: "x" }), "InvalidTokenizer", /not a list/)
  refuses("a token as long as a book", vocabulary({ ["x".repeat(1_000_000)]: -1 }), "InvalidTokenizer", /has the id/)

  it.effect("may hold anything in any part", () =>
    Effect.gen(function*() {
      const values = [
        1,
        "x",
        true,
        null,
        [],
        [null],
        {},
        { type: "X" },
        { type: "constructor" },
        { type: "Sequence" },
        { type: "Sequence", normalizers: [null], pretokenizers: [null], processors: [null], decoders: [null] },
        { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" },
        { type: "Replace", pattern: { Regex: "(" }, content: "" }
      ]
      for (const value of values) {
        for (const part of Object.keys(tokenizer)) yield* errorOf(use(edit({ [part]: value })))
        for (const part of Object.keys(tokenizer.model)) {
          yield* errorOf(use(edit({ model: { ...tokenizer.model, [part]: value } })))
        }
        for (const part of [...Object.keys(config), "pad_token", "chat_template", "added_tokens_decoder"]) {
          yield* errorOf(use(edited("tokenizer_config.json", json({ ...config, [part]: value }))))
        }
      }
    }))
})

describe("a chat template", () => {
  const config = parse(gpt2, "tokenizer_config.json")
  const messages = [{ role: "user", content: "Hello" }] as const
  /** What comes of it, or the tag of the error. */
  const rendered = (files: Files) =>
    Effect.gen(function*() {
      const { checkpoint, tokenizer } = yield* use(files)
      const template = yield* Checkpoint.chatTemplateOf(checkpoint, tokenizer)
      return yield* Effect.fromResult(template.render(messages))
    }).pipe((effect) => Effect.map(errorOf(effect), (error) => error?._tag))
  const inConfig = (chat_template: unknown) => edited("tokenizer_config.json", json({ ...config, chat_template }))

  for (
    const [what, files, tag] of [
      ["that is a number", inConfig(3), "NoChatTemplate"],
      ["that is null", inConfig(null), "NoChatTemplate"],
      ["of a name that is not there", inConfig([{ name: "tools", template: "" }]), "NoChatTemplate"],
      ["in a list without names", inConfig([{ template: "" }]), "NoChatTemplate"],
      ["that is not UTF-8", edited("chat_template.jinja", Uint8Array.of(0xff)), "NoChatTemplate"],
      ["that does not parse", inConfig("{% for %}"), "UnsupportedTemplate"],
      ["that is cut", inConfig("{% if messages"), "UnsupportedTemplate"],
      ["that nests without end", inConfig("{% if true %}".repeat(20_000)), "UnsupportedTemplate"],
      ["that calls what is not there", inConfig("{{ nothing() }}"), "UnsupportedTemplate"],
      ["that asks for a long range", inConfig("{% for i in range(10 ** 12) %}x{% endfor %}"), "UnsupportedTemplate"],
      ["that calls itself", inConfig("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), "UnsupportedTemplate"],
      ["that refuses the messages", inConfig("{{ raise_exception('no users') }}"), "TemplateRaised"]
    ] as const
  ) {
    it.effect(`${what} is refused`, () => Effect.map(rendered(files), (found) => assert.strictEqual(found, tag)))
  }
})
