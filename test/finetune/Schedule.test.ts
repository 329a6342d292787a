import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Schedule from "../../src/finetune/Schedule.ts"

const reference: { schedules: { warmup_steps: number; steps: number; values: Record<string, Array<number>> } } = JSON
  .parse(readFileSync(new URL("../fixtures/hf/optimizers-schedules.json", import.meta.url), "utf8"))

describe("Schedule", () => {
  const { steps, values, warmup_steps: warmupSteps } = reference.schedules
  for (
    const [name, key] of [["linear", "linear"], ["cosine", "cosine"], ["constant", "constant_with_warmup"]] as const
  ) {
    it(`gives the factors of transformers for ${name}`, () => {
      assert.strictEqual(values[key]!.length, steps)
      for (const [step, expected] of values[key]!.entries()) {
        assert.closeTo(Schedule.factor({ name, warmupSteps, totalSteps: steps }, step), expected, 1e-12, `step ${step}`)
      }
    })
  }

  it("warms up over a share of the steps, rounded up", () => {
    assert.strictEqual(Schedule.make("linear", 41, 0.1).warmupSteps, 5)
    assert.strictEqual(Schedule.make("linear", 41, 0).warmupSteps, 0)
    assert.strictEqual(Schedule.factor(Schedule.make("linear", 41, 0), 0), 1)
  })

  it.prop(
    "stays between 0 and 1 at every step and beyond the last",
    [
      Schedule.Name,
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 })),
      Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    ],
    ([name, totalSteps, warmupRatio]) => {
      const schedule = Schedule.make(name, totalSteps, warmupRatio)
      for (let step = 0; step < totalSteps + 3; step++) {
        const factor = Schedule.factor(schedule, step)
        assert.isTrue(factor >= 0 && factor <= 1, `${factor} at ${step}`)
      }
    }
  )
})
