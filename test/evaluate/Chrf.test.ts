import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Chrf from "../../src/evaluate/Chrf.ts"
import * as Words from "../../src/evaluate/Words.ts"

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/metrics/${name}.json`, import.meta.url), "utf8"))

const plain: { hypotheses: Array<string>; references: Array<string>; chrf: number } = read("bleu")

const { corpora, hypotheses, references, sentences }: {
  hypotheses: Array<string>
  references: Array<Array<string>>
  corpora: Array<{ from: number; to: number; lowercase: boolean; chrf: number; chrfPlusPlus: number }>
  sentences: Array<{ chrf: number; chrfPlusPlus: number; chrf1: number }>
} = read("sacrebleu")

describe("Chrf", () => {
  it("gives sacrebleu's chrF2 of a small corpus", () => {
    const single = plain.references.map((reference) => [reference])
    assert.closeTo(Chrf.evaluate(plain.hypotheses, single), plain.chrf, 1e-10)
  })

  for (const { chrf, chrfPlusPlus, from, lowercase, to } of corpora) {
    it(`gives sacrebleu's chrF2 and chrF2++ of ${from} to ${to}${lowercase ? " in lower case" : ""}`, () => {
      const [some, theirs] = [hypotheses.slice(from, to), references.slice(from, to)]
      assert.closeTo(Chrf.evaluate(some, theirs, { lowercase }), chrf, 1e-10)
      assert.closeTo(Chrf.evaluate(some, theirs, { lowercase, wordOrder: 2 }), chrfPlusPlus, 1e-10)
    })
  }

  it("gives sacrebleu's sentence scores, whatever the order and the weight of recall", () => {
    for (const [index, expected] of sentences.entries()) {
      const [hypothesis, theirs] = [hypotheses[index]!, references[index]!]
      assert.closeTo(Chrf.sentence(hypothesis, theirs), expected.chrf, 1e-10, hypothesis)
      assert.closeTo(Chrf.sentence(hypothesis, theirs, { wordOrder: 2 }), expected.chrfPlusPlus, 1e-10, hypothesis)
      assert.closeTo(
        Chrf.sentence(hypothesis, theirs, { beta: 1, characterOrder: 4 }),
        expected.chrf1,
        1e-10,
        hypothesis
      )
    }
  })

  it("sums counts over the sentences that are listed", () => {
    const options = { beta: 3 }
    const counts = hypotheses.map((hypothesis, i) => Chrf.counts(hypothesis, references[i]!, options))
    const drawn = [3, 30, 30, 31, 45]
    const apart = Chrf.evaluate(drawn.map((i) => hypotheses[i]!), drawn.map((i) => references[i]!), options)
    assert.strictEqual(Chrf.score(counts, drawn, 3), apart)
  })

  it.prop("is 100 for a text and itself, and the same for any spacing", [Schema.String], ([text]) => {
    const spaced = Array.from(text).join(" ")
    const own = Chrf.sentence(text, [text])
    assert.closeTo(own, Words.split(text).length === 0 ? 0 : 100, 1e-9)
    assert.strictEqual(Chrf.sentence(spaced, [text]), own)
  })

  it("scores nothing as 0, and refuses a hypothesis without a reference", () => {
    assert.strictEqual(Chrf.evaluate([], []), 0)
    assert.strictEqual(Chrf.sentence("", [""]), 0)
    assert.throws(() => Chrf.sentence("x", []), /"x" has no reference/)
  })
})
