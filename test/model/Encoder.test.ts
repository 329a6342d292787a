import { assert, describe, it, layer, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { type Config, initialize, type TokenBatch } from "../../src/model/Architecture.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Family from "../../src/model/Family.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { everywhere } from "../tensor/Parity.ts"
import * as DrawnReference from "./DrawnReference.ts"
import * as FamilyTests from "./FamilyTests.ts"
import * as Reference from "./Reference.ts"

const folders = ["bert", "roberta", "distilbert", "bert-token-classification"] as const

const drawn = DrawnReference.read("encoders.json")

const encoders = (it: Vitest.MethodsNonLive<Backend>) => {
  Reference.tests(it, folders)

  it.effect.each(drawn.cases)(
    "gives what transformers gives for $name",
    (expected) => DrawnReference.agrees(drawn, expected, 1e-3)
  )

  FamilyTests.recomputes(it, folders)
  FamilyTests.packs(it, folders)
  FamilyTests.drops(it, folders, 0.01)
  FamilyTests.freezes(it, "bert", /layer\.0\.attention\.self\.key\.weight|layer\.1\.output|pooler/, 7)

  it.effect.each(folders)("packs rows that are longer than the longest text: %s", (name) =>
    Effect.gen(function*() {
      const reference = yield* Reference.load(name)
      const { checkpoint, model } = reference
      const { tf } = yield* Backend
      const examples = FamilyTests.examplesOf(reference, [30, 31, 29, 32, 5])
      const run = (rows: Examples.Rows) => {
        const batch = Examples.collate(model, examples, rows)
        return Reference.read(tf, () => {
          const weights = Weights.make(tf, model, Reference.upload(tf, checkpoint.tensors))
          return [model.logits(tf, weights, model.hidden(tf, weights, batch, { rows: batch.rows }))]
        })
      }
      // The second row is one short text, and then padding beyond the last position.
      assert.isAbove(30 + 31 + 29 + 32, model.maximumLength)
      const [packed] = yield* run([[0, 1, 2, 3], [4]])
      const [padded] = yield* run(Examples.oneEach([0, 1, 2, 3, 4]))
      assert.isAtMost(Reference.relative(packed!, padded!), 1e-5)
    }))

  it.effect.each(folders)(
    "gives a text the same answer however much padding it gets: %s",
    (name) =>
      Effect.gen(function*() {
        const reference = yield* Reference.load(name)
        const { checkpoint, model } = reference
        const { tf } = yield* Backend
        const [{ tokens } = { tokens: new Int32Array() }] = FamilyTests.examplesOf(reference, [7])
        const run = (time: number, filler: number) =>
          Reference.read(tf, () => {
            const inputIds = new Int32Array(2 * time).fill(filler)
            inputIds.set(tokens, 0)
            // Beside it a text as long as the batch, so that only the first is padded.
            inputIds.fill(11, time)
            const batch: TokenBatch = { batch: 2, time, inputIds, lengths: Int32Array.of(7, time) }
            const weights = Weights.make(tf, model, Reference.upload(tf, checkpoint.tensors))
            const rows = Int32Array.from({ length: 7 }, (_, column) => column)
            return [model.logits(tf, weights, model.hidden(tf, weights, batch, { rows }))]
          })
        const [alone] = yield* run(7, 0)
        for (const time of [8, 21, model.maximumLength]) {
          for (const filler of [model.paddingId!, 9]) {
            const [found] = yield* run(time, filler)
            assert.isAtMost(Reference.relative(found!, alone!), 1e-6, `${time} columns, filled with ${filler}`)
          }
        }
      })
  )
}

for (const name of everywhere) layer(Backend.layer(name))(`encoders on ${name}`, encoders)

/** One place at a time, so that each shows its own rate. */
describe("an encoder's dropout", () => {
  const small = { vocab_size: 50, max_position_embeddings: 20, id2label: { 0: "a", 1: "b" } }
  const places = {
    bert: ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"],
    roberta: ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"],
    distilbert: ["dropout", "attention_dropout", "seq_classif_dropout"]
  } as const
  for (const family of ["bert", "roberta", "distilbert"] as const) {
    it.effect(`happens at the rates of its config: ${family}`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const shape = family === "distilbert"
          ? { dim: 16, n_layers: 1, n_heads: 2, hidden_dim: 32 }
          : { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32 }
        const run = Effect.fnUntraced(function*(rates: Config) {
          const config = { model_type: family, ...small, ...shape, initializer_range: 0.5, ...rates }
          const model = yield* Effect.flatMap(Family.withHead(config, "sequence-classification"), Family.model)
          const batch = Examples.collate(model, [{ tokens: Int32Array.of(2, 7, 9, 3) }], [[0]])
          const [hidden, logits] = yield* Reference.read(tf, () => {
            const weights = Weights.make(tf, model, Reference.upload(tf, initialize(model, 1)))
            const dropout = { seed: 1, step: 1 }
            const hidden = model.hidden(tf, weights, batch, { dropout })
            return [hidden, model.logits(tf, weights, hidden, dropout)]
          })
          return { hidden, logits }
        })
        const [inner, attention, head] = places[family]
        const none = { [inner]: 0, [attention]: 0, [head]: 0 }
        const plain = yield* run(none)
        for (const place of [inner, attention]) {
          assert.notDeepEqual((yield* run({ ...none, [place]: 0.5 })).hidden, plain.hidden, place)
        }
        const dropped = yield* run({ ...none, [head]: 0.5 })
        assert.deepStrictEqual(dropped.hidden, plain.hidden)
        assert.notDeepEqual(dropped.logits, plain.logits)
        // What a config leaves out has transformers' default, which drops.
        assert.notDeepEqual((yield* run({})).hidden, plain.hidden)
      }).pipe(Effect.provide(Backend.layer("wasm"))))
  }
})
