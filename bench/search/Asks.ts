/** How long a sampler takes for a proposal when many trials have finished. */
import * as Random from "../../src/random/Random.ts"
import type * as Sampler from "../../src/search/Sampler.ts"
import * as Space from "../../src/search/space/Space.ts"

/** Ten hyperparameters of all kinds, as fine-tuning has them. */
const space: Space.Space = Space.make({
  learningRate: Space.logUniform(1e-6, 1e-2),
  weightDecay: Space.logUniform(1e-4, 1),
  warmupRatio: Space.uniform(0, 0.3),
  dropout: Space.uniform(0, 0.5),
  epochs: Space.integer(1, 20),
  rank: Space.integer(1, 128, { scale: "log" }),
  batchSize: Space.ordinal([8, 16, 32, 64, 128]),
  layers: Space.integer(1, 12),
  schedule: Space.choice(["cosine", "linear", "constant"]),
  optimizer: Space.choice(["adamw", "lion", "sgd", "adafactor"])
})

/** Those of numbers alone, for samplers that know no choices. */
const numeric: Space.Space = Space.make(
  Object.fromEntries(Object.entries(space.fields).filter(([name]) => name !== "schedule" && name !== "optimizer"))
)

/** After how many trials proposals are timed. */
export const finished = [100, 300, 1000, 5000]

/** A bowl with noise. */
const loss = (space: Space.Space, params: Space.Params, noise: number): number =>
  space.toUnit(params).reduce((sum, u, axis) => sum + (u - (axis + 1) / 12) ** 2, 0.05 * noise)

/** Milliseconds of the fastest of `repeats` proposals after `trials` random trials, or none where the sampler refuses. */
export const milliseconds = (make: () => Sampler.Sampler, trials: number, repeats = 5): number | undefined => {
  const problemIn = (space: Space.Space): Sampler.Problem => ({
    space,
    trials: trials + repeats,
    objectives: 1,
    limits: 0,
    budgets: [1]
  })
  const chosen = [space, numeric].find((space) => make().check?.(problemIn(space)) === undefined)
  if (chosen === undefined) return undefined
  const problem = problemIn(chosen)
  const sampler = make().resolve?.(problem) ?? make()
  const observations: ReadonlyArray<Sampler.Observation> = Array.from({ length: trials }, (_, trial) => {
    const random = Random.make(3, "asks", trial)
    const params = chosen.fromUnit(chosen.axes.map(() => random.uniform()))
    return {
      trial,
      params,
      status: "completed",
      measurements: [{ rung: 0, budget: 1, losses: [loss(chosen, params, random.uniform())], violations: [] }]
    }
  })
  const proposed = new Set(observations.map(({ params }) => chosen.key(params)))
  const times = Array.from({ length: repeats }, (_, repeat) => {
    const before = performance.now()
    sampler.propose({
      ...problem,
      seed: 1,
      index: trials + repeat,
      proposed,
      earlier: [],
      history: () => observations
    })
    return performance.now() - before
  })
  return Math.min(...times)
}
