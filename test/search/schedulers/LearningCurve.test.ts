import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Random from "../../../src/random/Random.ts"
import * as LearningCurve from "../../../src/search/schedulers/LearningCurve.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const reference = JSON.parse(
  readFileSync(new URL("../../fixtures/search/learning-curves.json", import.meta.url), "utf8")
) as {
  readonly rungs: number
  readonly losses: ReadonlyArray<number>
  readonly lines: ReadonlyArray<{ rung: number; predictions: ReadonlyArray<number>; residualVariance: number }>
}

const predictionsAt = (curves: LearningCurve.Curves, rung: number): ReadonlyArray<LearningCurve.Prediction> => {
  const model = LearningCurve.fit(curves)
  return Array.from(
    curves.reached,
    (_, trial) =>
      model.final(rung, curves.losses[trial * curves.rungs + rung]!, LearningCurve.change(curves, trial, rung))
  )
}

/** Power laws: the level, the rate and the noise are drawn. */
const powerLaws = (seed: number, trials: number, rungs: number): LearningCurve.Curves => {
  const losses = new Float64Array(trials * rungs)
  for (let trial = 0; trial < trials; trial++) {
    const draw = Random.make(seed, "curves", trial)
    const level = 1 + 0.3 * draw.normal(), height = 1 + 0.2 * draw.normal()
    for (let rung = 0; rung < rungs; rung++) {
      losses[trial * rungs + rung] = level + height * 2 ** (-rung / 2) + 0.05 * draw.normal()
    }
  }
  return { rungs, losses, reached: new Int32Array(trials).fill(rungs - 1) }
}

describe("LearningCurve", () => {
  it("is the least-squares line where every trial has been to the end", () => {
    const { lines, losses, rungs } = reference
    const trials = losses.length / rungs
    const curves = {
      rungs,
      losses: Float64Array.from(losses),
      reached: new Int32Array(trials).fill(rungs - 1)
    }
    for (const { predictions, residualVariance, rung } of lines) {
      const found = predictionsAt(curves, rung)
      const deviation = Math.sqrt(residualVariance)
      // What is believed beforehand weighs as much as 3 of the 120 trials.
      for (const [trial, { mean, variance }] of found.entries()) {
        assert.closeTo(mean, predictions[trial]!, 0.3 * deviation)
        assert.closeTo(variance / residualVariance, 1, 0.3)
      }
      const off = found.reduce((sum, { mean }, trial) => sum + (mean - predictions[trial]!) ** 2, 0) / trials
      assert.isBelow(off, 0.005 * residualVariance)
    }
  })

  it("does not mind that only the better trials went on", () => {
    const all = powerLaws(3, 300, 5)
    const reached = all.reached.map((last, trial) => {
      for (let rung = 0; rung < last; rung++) {
        if (all.losses[trial * 5 + rung]! > [2, 1.7, 1.45, 1.3][rung]!) return rung
      }
      return last
    })
    assert.isBelow(reached.filter((rung) => rung === 4).length, 120)
    const selected = predictionsAt({ ...all, reached }, 0)
    const error = selected.reduce((sum, { mean }, trial) => sum + mean - all.losses[trial * 5 + 4]!, 0) / 300
    // Those that went on ended 0.2 lower on average than all of them.
    assert.closeTo(error, 0, 0.06)
  })

  it("is sure to the degree that it is right", () => {
    const rungs = 5, trials = 60, studies = 30
    const within = [0, 0]
    for (let seed = 0; seed < studies; seed++) {
      const curves = powerLaws(seed, trials, rungs)
      // Half of the trials have been to the end, the others wait at each of the rungs.
      const reached = curves.reached.map((last, trial) => trial % 2 === 0 ? last : (trial >> 1) % last)
      const model = LearningCurve.fit({ ...curves, reached })
      for (let trial = 1; trial < trials; trial += 2) {
        const rung = reached[trial]!
        const { mean, variance } = model.final(
          rung,
          curves.losses[trial * rungs + rung]!,
          LearningCurve.change(curves, trial, rung)
        )
        const off = Math.abs(curves.losses[trial * rungs + rungs - 1]! - mean) / Math.sqrt(variance)
        if (off < 1) within[0]! += 1
        if (off < 2) within[1]! += 1
      }
    }
    // 68 and 95 % of normal errors.
    assert.closeTo(within[0]! / (studies * trials / 2), 0.68, 0.08)
    assert.closeTo(within[1]! / (studies * trials / 2), 0.95, 0.04)
  })

  it("is less uncertain the further a trial has come, and certain at the end", () => {
    const curves = powerLaws(1, 80, 6)
    const model = LearningCurve.fit(curves)
    const variances = Array.from(
      { length: 6 },
      (_, rung) => model.final(rung, curves.losses[rung]!, LearningCurve.change(curves, 0, rung)).variance
    )
    for (let rung = 1; rung < 6; rung++) assert.isBelow(variances[rung]!, variances[rung - 1]!)
    assert.deepStrictEqual(model.final(5, 0.7, -0.1), { mean: 0.7, variance: 0 })
  })

  it("expects the trend to go on where no trial has been, and says how little it knows", () => {
    // Ten trials fell by 0.5 from the first rung to the second.
    const losses = new Float64Array(10 * 4), reached = new Int32Array(10).fill(1)
    for (let trial = 0; trial < 10; trial++) losses.set([2 + trial / 100, 1.5 + trial / 100], trial * 4)
    const model = LearningCurve.fit({ rungs: 4, losses, reached })
    const { mean, variance } = model.final(1, 1.5, -0.5)
    assert.isBelow(mean, 1.2)
    assert.isAbove(variance, 0.01)
  })

  it.prop(
    "does not depend on the scale and the zero of the losses",
    { seed: integer(0, 10_000), trials: integer(2, 12) },
    ({ seed, trials }) => {
      const curves = powerLaws(seed, trials, 4)
      const reached = curves.reached.map((last, trial) => Random.make(seed, "reached", trial).integer(last + 1))
      const plain = LearningCurve.fit({ ...curves, reached })
      const other = LearningCurve.fit({ ...curves, reached, losses: curves.losses.map((loss) => 50 * loss - 7) })
      for (let rung = 0; rung < 4; rung++) {
        const change = rung === 0 ? 0 : -0.3
        const a = plain.final(rung, 1.4, change), b = other.final(rung, 50 * 1.4 - 7, 50 * change)
        assert.closeTo(b.mean, 50 * a.mean - 7, 1e-6 * (1 + Math.abs(b.mean)))
        assert.closeTo(b.variance, 2500 * a.variance, 1e-6 * (1 + b.variance))
      }
    },
    { arbitrary: { runs: 50 } }
  )
})
