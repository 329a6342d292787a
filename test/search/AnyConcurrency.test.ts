/** Every sampler with every scheduler: the same study on one worker, two or eight, killed and resumed. */
import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../src/random/Random.ts"
import type * as Goal from "../../src/search/Goal.ts"
import type * as Sampler from "../../src/search/Sampler.ts"
import * as Auto from "../../src/search/samplers/Auto.ts"
import * as CmaEs from "../../src/search/samplers/CmaEs.ts"
import * as GaussianProcessSampler from "../../src/search/samplers/GaussianProcessSampler.ts"
import * as Grid from "../../src/search/samplers/Grid.ts"
import * as RandomSampler from "../../src/search/samplers/RandomSampler.ts"
import * as Sobol from "../../src/search/samplers/Sobol.ts"
import * as TreeParzen from "../../src/search/samplers/TreeParzen.ts"
import * as Asha from "../../src/search/schedulers/Asha.ts"
import * as FreezeThaw from "../../src/search/schedulers/FreezeThaw.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as Hyperband from "../../src/search/schedulers/Hyperband.ts"
import * as MedianStopping from "../../src/search/schedulers/MedianStopping.ts"
import * as Patience from "../../src/search/schedulers/Patience.ts"
import * as PercentileStopping from "../../src/search/schedulers/PercentileStopping.ts"
import * as StoppingRules from "../../src/search/schedulers/StoppingRules.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Threshold from "../../src/search/schedulers/Threshold.ts"
import * as Space from "../../src/search/space/Space.ts"
import type * as VirtualTime from "../../src/search/VirtualTime.ts"
import { simulate } from "./simulate.ts"

const mixed: Space.Space = Space.make({
  rate: Space.logUniform(1e-5, 1),
  layers: Space.integer(1, 12),
  optimizer: Space.branches({ adamw: { decay: Space.uniform(0, 1) }, sgd: { momentum: Space.uniform(0, 1) } })
}, { constraints: { "deep models learn slowly": ({ layers, rate }) => layers < 6 || rate < 0.1 } })

const numeric: Space.Space = Space.make({ rate: Space.logUniform(1e-5, 1), layers: Space.integer(1, 12) })

const samplers: ReadonlyArray<Sampler.Sampler> = [
  RandomSampler.make(),
  Sobol.make(),
  Grid.make({ resolution: 2 }),
  TreeParzen.make({ startup: 4 }),
  GaussianProcessSampler.make(),
  CmaEs.make(),
  Auto.make()
]

const even = { every: 3, max: 9 } as const
const schedulers = [
  FullBudget.make(3),
  SuccessiveHalving.make({ budgets: [1, 3, 9] }),
  Asha.make({ budgets: [1, 3, 9] }),
  Hyperband.make({ min: 1, max: 9 }),
  MedianStopping.make({ ...even, after: 2 }),
  PercentileStopping.make({ ...even, percentile: 40, after: 2 }),
  FreezeThaw.make({ budgets: [1, 3, 9] }),
  StoppingRules.make({ ...even, rules: [Patience.rule({ rungs: 1 }), Threshold.rule({ above: 0.9 })] })
]

const goals: ReadonlyArray<Goal.Goal> = [
  { objectives: [{ metric: "loss", direction: "minimize" }], limits: [] },
  {
    objectives: [{ metric: "loss", direction: "minimize" }, { metric: "speed", direction: "maximize" }],
    limits: [{ metric: "memory", max: 10 }]
  }
]

/** Depends on everything, improves with budget, ends in failures of every kind now and then. */
const measure = (goal: Goal.Goal) => (job: VirtualTime.Job): VirtualTime.Outcome => {
  const chance = Random.make(11, `outcome ${job.rung}`, job.trial).integer(12)
  if (chance === 0) return { _tag: "Failed", reason: "diverged" }
  const { layers, rate } = job.params as { readonly layers: number; readonly rate: number }
  const loss = Math.abs(Math.log10(rate) + 2) / 5 + layers / 40 + 0.3 / job.budgets.at(-1)! + 0.01 * job.repeat
  const others = [12 - layers, layers].slice(0, goal.objectives.length + goal.limits.length - 1)
  return { _tag: "Completed", values: [chance === 1 ? Number.NaN : loss, ...others] }
}

describe("the same study at any concurrency", () => {
  for (const sampler of samplers) {
    for (const [index, scheduler] of schedulers.entries()) {
      // Each pair is tried with one of the goals, and both goals with each sampler and each scheduler.
      const goal = goals[sampler.name === "cma-es" ? 0 : (index + samplers.indexOf(sampler)) % 2]!
      it(`${sampler.name}, ${scheduler.name}, ${goal.objectives.length} objectives`, () => {
        const options: VirtualTime.Options<Space.Params> = {
          space: sampler.name === "cma-es" ? numeric : mixed,
          sampler,
          scheduler,
          goal,
          seed: 7,
          trials: 14,
          parallelism: 3,
          budget: 150,
          enqueued: [],
          finalists: { trials: 2, repeats: 2 }
        }
        const expected = simulate(options, measure(goal), { concurrency: 1 })
        assert.isAbove(expected.state.jobs.length, 10)
        for (const [concurrency, crashes] of [[2, []], [8, [2, 9, 17]]] as const) {
          const found = simulate(options, measure(goal), { concurrency, delays: concurrency, crashes })
          assert.deepStrictEqual(found.log, expected.log)
          assert.deepStrictEqual(found.summary, expected.summary)
          assert.deepStrictEqual(
            found.state.trials.map(({ params }) => params),
            expected.state.trials.map(({ params }) => params)
          )
        }
      })
    }
  }
})
