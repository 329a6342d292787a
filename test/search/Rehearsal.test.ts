import { assert, describe, it } from "@effect/vitest"
import * as Goal from "../../src/search/Goal.ts"
import * as Rehearsal from "../../src/search/Rehearsal.ts"
import type * as Sampler from "../../src/search/Sampler.ts"
import * as Grid from "../../src/search/samplers/Grid.ts"
import * as RandomSampler from "../../src/search/samplers/RandomSampler.ts"
import type * as Scheduler from "../../src/search/Scheduler.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../src/search/space/Space.ts"

const cost = (scheduler: Scheduler.Scheduler, trials: number, sampler: Sampler.Sampler = RandomSampler.make()) =>
  Rehearsal.expectedCost({
    space: Space.make({ optimizer: Space.choice(["adamw", "sgd"]), layers: Space.integer(1, 2) }),
    sampler,
    scheduler,
    goal: Goal.single("minimize"),
    seed: 0,
    trials
  })

describe("Rehearsal", () => {
  it("adds up what every rung costs", () => {
    // Four trials to 2, the best two of them on to 4, the best one on to 10.
    assert.strictEqual(cost(SuccessiveHalving.make({ budgets: [2, 4, 10], reduction: 2 }), 4), 4 * 2 + 2 * 2 + 6)
    assert.strictEqual(cost(FullBudget.make(10), 3), 30)
  })

  it("knows of samplers that run out of points", () => {
    assert.strictEqual(cost(FullBudget.make(1), 100, Grid.make()), 4)
  })
})
