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
  if (trials <= alone) return because(gaussianProcess, `at most ${trials} trials`)
  const both = inTurn(gaussianProcess, treeParzen)
  if (trials <= most) return because(both, `at most ${trials} trials`)
  return because(
    handOver(both, treeParzen),
    `${
      Number.isFinite(trials) ? `${trials} trials` : "no limit to the trials"
    }, and a model of all of them takes too long`
  )
}

/** After how many trials the second sampler has a say, and in which of its proposals. */
const alone = 20, turn = 3

/**
 * Two models that see the same trials and fail in different places: a process
 * that is at its best where losses are smooth, and densities that ask for no more
 * than an order, which on plateaus and among diverging trials is all there is.
 */
const inTurn = (first: Sampler.Sampler, second: Sampler.Sampler): Sampler.Sampler => ({
  ...first,
  name: `${first.name}, ${second.name}`,
  description:
    `Gaussian process; from ${alone} trials on every ${turn}rd proposal by a tree-structured Parzen estimator`,
  propose: (context) =>
    context.proposed.size >= alone && context.index % turn === turn - 1
      ? second.propose(context)
      : first.propose(context)
})

/** A sampler for the first trials, and another one after them that learns from all. */
const handOver = (first: Sampler.Sampler, then: Sampler.Sampler): Sampler.Sampler => ({
  name: `${first.name}, ${then.name}`,
  description: `${first.description}; after ${most} trials by it alone`,
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
