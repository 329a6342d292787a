/**
 * The sampler that a specialist would pick for a study: chosen by the space, the
 * number of trials and the goal, before the first trial. What it chose, and why,
 * is in the description that the study is reported with.
 *
 * The rules are what the benchmark of samplers shows (`npm run bench -- search`),
 * on problems that were kept aside as well.
 */
import type * as Sampler from "../Sampler.ts"
import * as GaussianProcessSampler from "./GaussianProcessSampler.ts"
import * as Grid from "./Grid.ts"
import * as TreeParzen from "./TreeParzen.ts"

/** The most trials that a Gaussian process is made of: the time for a proposal grows with their cube. */
const most = 300

const choose = (problem: Sampler.Problem): Sampler.Sampler => {
  const { space, trials } = problem
  const because = (sampler: Sampler.Sampler, reason: string): Sampler.Sampler => ({
    ...sampler,
    description: `${sampler.description} (chosen: ${reason})`
  })
  if (space.size <= trials && Number.isFinite(trials)) {
    const all = Grid.make({ resolution: space.size })
    // Earlier studies could only say in which order: all of them are tried.
    return because(
      { ...all, description: "every combination", usesEarlier: true },
      `the space has ${space.size} points`
    )
  }
  const gaussianProcess = GaussianProcessSampler.make()
  const treeParzen = TreeParzen.make()
  const refused = gaussianProcess.check?.(problem)
  if (refused !== undefined) return because(treeParzen, `there are ${refused.found}`)
  if (trials <= most) return because(gaussianProcess, `at most ${trials} trials`)
  return because(
    handOver(gaussianProcess, treeParzen),
    `${
      Number.isFinite(trials) ? `${trials} trials` : "no limit to the trials"
    }, and a model of all of them takes too long`
  )
}

/** A sampler for the first trials, and another one after them that learns from all. */
const handOver = (first: Sampler.Sampler, then: Sampler.Sampler): Sampler.Sampler => ({
  name: `${first.name}, ${then.name}`,
  description: `${first.description} for ${most} trials, then ${then.description}`,
  size: (space) => Math.max(first.size(space), then.size(space)),
  usesEarlier: true,
  propose: (context) => context.proposed.size < most ? first.propose(context) : then.propose(context)
})

export const make = (): Sampler.Sampler => ({
  name: "auto",
  description: "chosen by the space and the number of trials",
  size: (space) => space.size,
  check: (problem) => choose(problem).check?.(problem),
  resolve: choose,
  propose: (context) => choose(context).propose(context)
})
