import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"

const folder = (name: string): Map<string, Uint8Array> => {
  const url = new URL(`../fixtures/hf/${name}/`, import.meta.url)
  return new Map(readdirSync(url).map((file) => [file, new Uint8Array(readFileSync(new URL(file, url)))]))
}
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const parse = (bytes: Uint8Array | undefined) => JSON.parse(new TextDecoder().decode(bytes))

describe("Checkpoint", () => {
  for (const name of ["gpt2", "gpt2-classification"]) {
    it.effect(`reads ${name} as transformers wrote it, and writes the same back`, () =>
      Effect.gen(function*() {
        const files = folder(name)
        const checkpoint = yield* Checkpoint.fromFiles(files)
        assert.deepStrictEqual(checkpoint.unused, [])
        const written = Checkpoint.toFiles(checkpoint)
        assert.deepStrictEqual(
          [...written.keys()].toSorted(),
          [...files.keys()].filter((file) => !file.startsWith("reference")).toSorted()
        )
        assert.deepStrictEqual(written.get("model.safetensors"), files.get("model.safetensors"))
        assert.deepStrictEqual(parse(written.get("config.json")), parse(files.get("config.json")))
        assert.deepStrictEqual(yield* Checkpoint.fromFiles(written), checkpoint)
        assert.strictEqual((yield* Checkpoint.modelOf(checkpoint)).maximumLength, 128)
      }))
  }

  it.effect("reads shards by their index", () =>
    Effect.gen(function*() {
      const files = folder("gpt2")
      const { tensors } = yield* Safetensors.decode(files.get("model.safetensors")!)
      const half = [...tensors].slice(0, 11), rest = [...tensors].slice(11)
      const sharded = new Map(files)
      sharded.delete("model.safetensors")
      sharded.set("a.safetensors", Safetensors.encode(half)).set("b.safetensors", Safetensors.encode(rest))
      const map = Object.fromEntries([
        ...half.map(([name]) => [name, "a.safetensors"]),
        ...rest.map(([name]) => [name, "b.safetensors"])
      ])
      sharded.set("model.safetensors.index.json", json({ metadata: {}, weight_map: map }))
      assert.deepStrictEqual(yield* Checkpoint.fromFiles(sharded), yield* Checkpoint.fromFiles(files))
      sharded.delete("b.safetensors")
      const error = yield* Effect.flip(Checkpoint.fromFiles(sharded))
      assert.deepInclude(error, { _tag: "MissingFile", file: "b.safetensors" })
    }))

  it.effect("reads the layout of the hub's gpt2: names without prefix, saved masks, half precision", () =>
    Effect.gen(function*() {
      const files = folder("gpt2")
      const { tensors } = yield* Safetensors.decode(files.get("model.safetensors")!)
      const old = new Map<string, Safetensors.Tensor>()
      for (const [name, tensor] of tensors) {
        old.set(name.replace("transformer.", ""), {
          dtype: "BF16",
          shape: tensor.shape,
          data: tensor.data as Float32Array
        })
      }
      old.set("h.0.attn.bias", { dtype: "U8", shape: [1, 1, 2, 2], data: Uint8Array.of(1, 0, 1, 1) })
      old.set("lm_head.weight", old.get("wte.weight")!)
      old.set("surprise", { dtype: "F32", shape: [1], data: Float32Array.of(1) })
      const read = yield* Checkpoint.fromFiles(new Map(files).set("model.safetensors", Safetensors.encode(old)))
      assert.deepStrictEqual(read.unused, ["h.0.attn.bias", "lm_head.weight", "surprise"])
      const exact = tensors.get("transformer.wte.weight")!.data as Float32Array
      for (const [i, value] of read.tensors.get("transformer.wte.weight")!.data.entries()) {
        // bfloat16 keeps eight significant bits.
        assert.isAtMost(Math.abs(value - exact[i]!), Math.abs(exact[i]!) * 2 ** -8)
      }
    }))

  it.effect("lists what is missing and what has another shape", () =>
    Effect.gen(function*() {
      const files = folder("gpt2")
      const { tensors } = yield* Safetensors.decode(files.get("model.safetensors")!)
      const broken = new Map(tensors)
      broken.delete("transformer.ln_f.bias")
      broken.set("transformer.ln_f.weight", { dtype: "F32", shape: [47], data: new Float32Array(47) })
      const error = yield* Effect.flip(
        Checkpoint.fromFiles(new Map(files).set("model.safetensors", Safetensors.encode(broken)))
      )
      assert.strictEqual(error._tag, "MismatchedTensors")
      if (error._tag !== "MismatchedTensors") return
      assert.deepStrictEqual(error.missing, ["transformer.ln_f.bias"])
      assert.deepStrictEqual(error.different, [
        { name: "transformer.ln_f.weight", expected: "F32 [48]", found: "F32 [47]" }
      ])
      assert.match(error.message, /transformer\.ln_f\.weight is F32 \[47\], expected F32 \[48\]/)
      assert.strictEqual(error.found.length, 27)
    }))

  const hostile = folder("gpt2")
  for (
    const [what, files, tag] of [
      ["no config", new Map([...hostile].filter(([name]) => name !== "config.json")), "MissingFile"],
      ["no weights", new Map([...hostile].filter(([name]) => name !== "model.safetensors")), "MissingFile"],
      ["a config that is cut", new Map(hostile).set("config.json", json({}).subarray(0, 1)), "InvalidFile"],
      ["a config that is a list", new Map(hostile).set("config.json", json([])), "InvalidFile"],
      [
        "another architecture",
        new Map(hostile).set("config.json", json({ model_type: "mamba" })),
        "UnknownArchitecture"
      ],
      [
        "weights that are cut",
        new Map(hostile).set(
          "model.safetensors",
          hostile.get("model.safetensors")!.subarray(0, 5000)
        ),
        "MalformedSafetensors"
      ]
    ] as const
  ) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(Checkpoint.fromFiles(files)))._tag, tag)
      }))
  }

  it.effect("puts a classifier's head on a language model, drawn by the seed, and leaves the body alone", () =>
    Effect.gen(function*() {
      const base = yield* Checkpoint.untrained(
        Gpt2.config({ vocabularySize: 257, positions: 16, width: 8, layers: 1, heads: 2, endOfTextId: 256 }),
        Tokenizer.byteLevel(),
        1
      )
      const options = { head: "sequence-classification", labels: ["de", "en", "fr"], seed: 3 } as const
      const classifier = yield* Checkpoint.withHead(base, options)
      assert.deepStrictEqual(classifier.tensors.get("score.weight")!.shape, [3, 8])
      for (const [name, tensor] of base.tensors) assert.strictEqual(classifier.tensors.get(name)!.data, tensor.data)
      assert.deepStrictEqual(Checkpoint.labelsOf(classifier.config), ["de", "en", "fr"])
      assert.deepStrictEqual(classifier.config["architectures"], ["GPT2ForSequenceClassification"])
      assert.deepStrictEqual(yield* Checkpoint.withHead(classifier, { ...options, seed: 4 }), classifier)
      const other = yield* Checkpoint.withHead(base, { ...options, seed: 4 })
      assert.notDeepEqual(other.tensors.get("score.weight"), classifier.tensors.get("score.weight"))
      const read = yield* Checkpoint.fromFiles(Checkpoint.toFiles(classifier))
      assert.deepStrictEqual(read.tensors, classifier.tensors)
      assert.strictEqual((yield* Checkpoint.tokenizerOf(read)).vocabularySize, 257)
    }))
})
