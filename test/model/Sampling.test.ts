import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Sampling from "../../src/model/Sampling.ts"
import * as Random from "../../src/random/Random.ts"

interface Reference {
  readonly rows: ReadonlyArray<{ readonly text: ReadonlyArray<number>; readonly logits: ReadonlyArray<number> }>
  readonly cases: ReadonlyArray<{
    readonly row: number
    readonly settings: Partial<Sampling.Settings>
    /** `null` for what is ruled out. */
    readonly scores: ReadonlyArray<number | null>
    readonly probabilities: ReadonlyArray<number>
  }>
}

const { cases, rows }: Reference = JSON.parse(
  readFileSync(new URL("../fixtures/hf/sampling.json", import.meta.url), "utf8")
)

/** The row whose logits are multiples of one half. */
const withTies = 3

/** Settings that change nothing, apart from these. */
const settings = (changed: Partial<Sampling.Settings>): Sampling.Settings => ({
  ...Sampling.greedy,
  temperature: 1,
  ...changed
})

const counted = (logits: Float32Array, draws: number, seed: number): ReadonlyArray<number> => {
  const counts = Array.from(logits, () => 0)
  for (let draw = 0; draw < draws; draw++) {
    counts[Sampling.draw(logits, Random.make(seed, "draws", draw).uniform())]!++
  }
  return counts
}

/** Pearson's statistic over the tokens that are expected five times or more, those left over taken as one. */
const chiSquare = (counts: ReadonlyArray<number>, probabilities: ReadonlyArray<number>) => {
  const draws = counts.reduce((sum, count) => sum + count, 0)
  let statistic = 0, cells = 0, restCount = 0, restExpected = 0
  for (const [token, probability] of probabilities.entries()) {
    const expected = draws * probability
    if (expected < 5) {
      restCount += counts[token]!
      restExpected += expected
      continue
    }
    statistic += (counts[token]! - expected) ** 2 / expected
    cells++
  }
  if (restExpected > 0) {
    statistic += (restCount - restExpected) ** 2 / restExpected
    cells++
  }
  return { statistic, freedom: cells - 1 }
}

describe("choosing the next token", () => {
  it.each(cases.map((one) => [JSON.stringify(one.settings), one.row, one] as const))(
    "leaves what transformers leaves with %s on row %i",
    (_settings, row, { scores, settings: given }) => {
      const { logits, text } = rows[row]!
      const found = Float32Array.from(logits)
      const { repetitionPenalty, ...rest } = settings(given)
      Sampling.penalizeRepetition(found, text, repetitionPenalty)
      Sampling.warp(found, { ...rest, repetitionPenalty })
      // Which of several equally likely tokens go, transformers leaves to chance: how many is all there is to compare.
      const tied = row === withTies && rest.topP < 1
      const order = (scores: ReadonlyArray<number>) => tied ? scores.toSorted((a, b) => b - a) : scores
      const expected = order(scores.map((score) => score ?? -Infinity))
      for (const [token, score] of order(Array.from(found)).entries()) {
        if (expected[token] === -Infinity) assert.strictEqual(score, -Infinity)
        else assert.closeTo(score, expected[token]!, 1e-5 * Math.max(1, Math.abs(expected[token]!)))
      }
    }
  )

  it("keeps the first of equally likely tokens where top-p takes only some", () => {
    const logits = Float32Array.of(0, 1, 0, 1, 0)
    Sampling.warp(logits, settings({ topP: 0.7 }))
    assert.deepStrictEqual(Array.from(logits), [0, 1, -Infinity, 1, -Infinity])
    Sampling.warp(logits, settings({ topP: 0 }))
    assert.deepStrictEqual(Array.from(logits), [-Infinity, 1, -Infinity, -Infinity, -Infinity])
  })

  it("draws as often as the softmax of what is left says", () => {
    for (const [index, { probabilities, row, settings: given }] of cases.entries()) {
      if (row === withTies) continue
      const logits = Float32Array.from(rows[row]!.logits)
      Sampling.penalizeRepetition(logits, rows[row]!.text, given.repetitionPenalty ?? 1)
      Sampling.warp(logits, settings(given))
      const counts = counted(logits, 4000, index)
      for (const [token, probability] of probabilities.entries()) {
        if (probability === 0) assert.strictEqual(counts[token], 0)
      }
      const { freedom, statistic } = chiSquare(counts, probabilities)
      // A right sampler is beyond five deviations less than once in 100,000 such tables.
      assert.isAtMost(statistic, freedom + 5 * Math.sqrt(2 * freedom) + 5, JSON.stringify(given))
    }
  })

  it("would notice a temperature that is a tenth off", () => {
    const logits = Float32Array.from(rows[1]!.logits)
    Sampling.warp(logits, settings({ temperature: 1.1 }))
    const { probabilities } = cases.find(({ row, settings }) => row === 1 && Object.keys(settings).length === 1)!
    const { freedom, statistic } = chiSquare(counted(logits, 4000, 1), probabilities)
    assert.isAbove(statistic, freedom + 5 * Math.sqrt(2 * freedom) + 5)
  })

  it("takes the first of the most likely tokens at a temperature of 0, and draws nothing", () => {
    const nobody = () => assert.fail("a random number was drawn")
    assert.strictEqual(Sampling.next(Float32Array.of(1, 3, 2, 3), [], Sampling.greedy, nobody), 1)
    const penalized = { ...Sampling.greedy, repetitionPenalty: 2 }
    assert.strictEqual(Sampling.next(Float32Array.of(1, 3, 2, 2.5), [1], penalized, nobody), 3)
  })

  it("leaves of large vocabularies what sorting all of them would leave", () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = Random.make(seed, "vocabulary")
      const spread = [0.01, 1, 4, 30, 400][seed % 5]!
      const ties = seed % 2 === 0
      const logits = Float32Array.from({ length: 1 + random.integer(3000) }, () => {
        const logit = spread * random.normal()
        // Without the negative zero.
        return ties ? Math.round(logit) + 0 : logit
      })
      const sorted = logits.toSorted().toReversed()
      const topK = 1 + random.integer(logits.length)
      const top = logits.slice()
      Sampling.warp(top, settings({ topK }))
      assert.deepStrictEqual(top, logits.map((logit) => logit >= sorted[topK - 1]! ? logit : -Infinity))
      const topP = random.uniform()
      const weights = Float64Array.from(sorted, (logit) => Math.exp(logit - sorted[0]!))
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      let kept = 1
      for (let sum = weights[0]!; sum < topP * total; sum += weights[kept++]!);
      const nucleus = logits.slice()
      Sampling.warp(nucleus, settings({ topP }))
      assert.deepStrictEqual(
        nucleus.filter((logit) => logit > -Infinity).toSorted().toReversed(),
        sorted.slice(0, kept),
        `seed ${seed}, top-p ${topP}`
      )
    }
  })

  it("draws only what is possible, at either end of the uniform numbers", () => {
    const logits = Float32Array.of(-Infinity, 0, -Infinity, 1, -Infinity)
    assert.strictEqual(Sampling.draw(logits, 0), 1)
    assert.strictEqual(Sampling.draw(logits, 1 - 2 ** -53), 3)
  })
})
