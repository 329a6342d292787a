import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../../src/random/Random.ts"
import * as Goal from "../../../src/search/Goal.ts"
import type * as Sampler from "../../../src/search/Sampler.ts"
import * as GaussianProcessSampler from "../../../src/search/samplers/GaussianProcessSampler.ts"
import * as RandomSampler from "../../../src/search/samplers/RandomSampler.ts"
import * as Sobol from "../../../src/search/samplers/Sobol.ts"
import * as TreeParzen from "../../../src/search/samplers/TreeParzen.ts"
import * as FullBudget from "../../../src/search/schedulers/FullBudget.ts"
import * as Space from "../../../src/search/space/Space.ts"
import type * as VirtualTime from "../../../src/search/VirtualTime.ts"
import { simulate } from "../simulate.ts"

const space: Space.Space = Space.make({
  rate: Space.logUniform(1e-6, 1),
  decay: Space.logUniform(1e-6, 1),
  dropout: Space.uniform(0, 1),
  layers: Space.integer(1, 12)
})

/** A bowl; where its bottom is depends on the task. */
const bowl = (params: Space.Params, shift = 0): number =>
  space.toUnit(params).reduce((sum, u, axis) => sum + (u - (0.2 + 0.15 * axis + shift)) ** 2, 0)

/** Random trials of another task, with losses of its own scale. */
const earlier = (study: string, loss: (params: Space.Params) => number, trials = 40): Sampler.Earlier => ({
  study,
  observations: Array.from({ length: trials }, (_, trial) => {
    const random = Random.make(77, study, trial)
    const params = space.fromUnit(space.axes.map(() => random.uniform()))
    const value = loss(params)
    return {
      trial,
      params,
      status: "completed",
      measurements: [{ rung: 0, budget: 1, losses: [value], violations: [] }]
    }
  })
})

const best = (
  sampler: Sampler.Sampler,
  studies: ReadonlyArray<Sampler.Earlier>,
  trials: number,
  seeds = [1, 2, 3]
): number => {
  const losses = seeds.map((seed) => {
    const options: VirtualTime.Options<Space.Params> = {
      space,
      sampler,
      scheduler: FullBudget.make(1),
      goal: Goal.single("minimize"),
      seed,
      trials,
      parallelism: 1,
      enqueued: [Space.defaults(space)],
      earlier: studies
    }
    const { summary } = simulate(options, (job) => ({ _tag: "Completed", values: [bowl(job.params)] }), {
      concurrency: 1
    })
    return summary.best!.value!
  })
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
}

const alike = earlier("alike", (params) => 5 + 300 * bowl(params, 0.05))
const opposite = earlier("opposite", (params) => -bowl(params))

describe("a study that starts from an earlier one", () => {
  const gaussianProcess = GaussianProcessSampler.make()

  it("finds good hyperparameters with the first trials where the earlier one is alike, whatever its scale", () => {
    const alone = best(gaussianProcess, [], 6), informed = best(gaussianProcess, [alike], 6)
    assert.isBelow(informed, alone / 3)
    const parzen = best(TreeParzen.make(), [alike], 6)
    assert.isBelow(parzen, best(TreeParzen.make(), [], 6))
  })

  it("is not led astray for long by one that says the opposite, or nothing", () => {
    const noise = earlier("noise", (params) => Random.make(3, JSON.stringify(params)).uniform())
    const alone = best(gaussianProcess, [], 25)
    for (const studies of [[opposite], [noise], [opposite, noise]]) {
      assert.isBelow(best(gaussianProcess, studies, 25), alone + 0.01)
    }
  })

  it("listens to the one that agrees among several", () => {
    const alone = best(gaussianProcess, [], 12)
    assert.isBelow(best(gaussianProcess, [opposite, alike], 12), alone)
  })

  it("begins with the best points of the earlier one, each once", () => {
    const ranked = alike.observations.toSorted((a, b) => a.measurements[0]!.losses[0]! - b.measurements[0]!.losses[0]!)
    const options: VirtualTime.Options<Space.Params> = {
      space,
      sampler: gaussianProcess,
      scheduler: FullBudget.make(1),
      goal: Goal.single("minimize"),
      seed: 1,
      trials: 4,
      parallelism: 4,
      enqueued: [ranked[1]!.params],
      earlier: [alike]
    }
    // All four start before anything is known of this study.
    const { state } = simulate(options, (job) => ({ _tag: "Completed", values: [bowl(job.params)] }), {
      concurrency: 4
    })
    assert.deepStrictEqual(
      state.trials.map(({ params }) => params),
      [1, 0, 2, 3].map((place) => ranked[place]!.params)
    )
  })

  it("is refused with a sampler that would not listen", () => {
    for (const sampler of [Sobol.make(), RandomSampler.make()]) {
      assert.throws(() => best(sampler, [alike], 4), /earlier: found the sampler \w+, which learns nothing/)
    }
  })
})
