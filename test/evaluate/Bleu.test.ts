import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Bleu from "../../src/evaluate/Bleu.ts"
import * as Bootstrap from "../../src/statistics/Bootstrap.ts"

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/metrics/${name}.json`, import.meta.url), "utf8"))

const plain: {
  hypotheses: Array<string>
  references: Array<string>
  corpusBleu: number
  sentenceBleu: Array<number>
} = read("bleu")

const { corpora, hypotheses, references, sentences, tokens }: {
  hypotheses: Array<string>
  references: Array<Array<string>>
  tokens: Array<Array<string>>
  corpora: Array<Bleu.Score & { from: number; to: number; lowercase: boolean }>
  sentences: Array<{ bleu: number }>
} = read("sacrebleu")

describe("Bleu", () => {
  it("gives sacrebleu's scores of a small corpus and its sentences", () => {
    const single = plain.references.map((reference) => [reference])
    assert.closeTo(Bleu.evaluate(plain.hypotheses, single).bleu, plain.corpusBleu, 1e-10)
    for (const [index, expected] of plain.sentenceBleu.entries()) {
      assert.closeTo(Bleu.sentence(plain.hypotheses[index]!, single[index]!).bleu, expected, 1e-10)
    }
  })

  it("finds the words that mteval-v13a finds, in many alphabets", () => {
    for (const [index, expected] of tokens.entries()) {
      // What stands at the end of a sentence is white space and not its last line.
      assert.deepStrictEqual(Bleu.tokenize(hypotheses[index]!.trimEnd()), expected)
    }
  })

  for (const { from, lowercase, to, ...expected } of corpora) {
    it(`gives sacrebleu's corpus score of ${from} to ${to}${lowercase ? " in lower case" : ""}`, () => {
      const found = Bleu.evaluate(hypotheses.slice(from, to), references.slice(from, to), { lowercase })
      for (const name of ["bleu", "brevityPenalty", "hypothesisLength", "referenceLength"] as const) {
        assert.closeTo(found[name], expected[name], 1e-10, name)
      }
      for (const name of ["matches", "totals", "precisions"] as const) {
        for (const [order, value] of expected[name].entries()) {
          assert.closeTo(found[name][order]!, value, 1e-10, `${name} of ${order + 1}`)
        }
      }
    })
  }

  it("gives sacrebleu's sentence scores, by effective order", () => {
    for (const [index, { bleu }] of sentences.entries()) {
      assert.closeTo(Bleu.sentence(hypotheses[index]!, references[index]!).bleu, bleu, 1e-10, hypotheses[index])
    }
  })

  it("clips a word to the reference that has it most, as in the paper's example", () => {
    const references = ["The cat is on the mat.", "There is a cat on the mat."]
    const { matches, totals } = Bleu.counts("the the the the the the the.", references, { lowercase: true })
    // Papineni et al. section 2.1: 2 of 7; here with the period, which matches too.
    assert.deepStrictEqual([matches[0], totals[0]], [3, 8])
  })

  it("sums counts over the sentences that a bootstrap draws", () => {
    const counts = hypotheses.map((hypothesis, i) => Bleu.counts(hypothesis, references[i]!))
    const drawn = [3, 30, 30, 31, 45]
    const apart = Bleu.evaluate(drawn.map((i) => hypotheses[i]!), drawn.map((i) => references[i]!))
    assert.deepStrictEqual(Bleu.score(counts, drawn), apart)
    const { estimate, lower, upper } = Bootstrap.interval(
      counts.length,
      (examples) => Bleu.score(counts, examples).bleu,
      { seed: 1, resamples: 200 }
    )
    assert.closeTo(estimate, corpora[0]!.bleu, 1e-10)
    assert.isTrue(lower < estimate && estimate < upper)
  })

  it("scores nothing as 0, and refuses a hypothesis without a reference", () => {
    assert.strictEqual(Bleu.evaluate([], []).bleu, 0)
    assert.throws(() => Bleu.evaluate(["x"], [[]]), /"x" has no reference/)
    assert.throws(() => Bleu.evaluate(["x"], []), /1 hypotheses cannot be compared with 0/)
  })
})
