/** A study played through beforehand, to tell how much it has to do. */
import * as Random from "../random/Random.ts"
import type * as Goal from "./Goal.ts"
import type { Job } from "./Job.ts"
import * as RandomSampler from "./samplers/RandomSampler.ts"
import type * as Space from "./space/Space.ts"
import * as Summary from "./Summary.ts"
import * as VirtualTime from "./VirtualTime.ts"

/**
 * The budget that a study spends if no trial fails. Exact for schedulers whose promotions do not depend on which trials
 * are good, as in successive halving; otherwise an estimate, from trials that are good or bad by chance, get a little
 * better from rung to rung, and better with time where the sampler learns.
 */
export const expectedCost = <P extends Space.Params>(options: VirtualTime.Options<P>): number => {
  // How many points there are matters, not which: a sampler with a model would think about each of them.
  const { sampler, space, trials = Infinity, until: _, ...lasting } = options
  const points = Math.max(sampler.size(space), options.enqueued?.length ?? 0)
  let state = VirtualTime.make({
    ...lasting,
    space,
    sampler: RandomSampler.make(),
    trials: Math.min(trials, Number.isFinite(points) ? points : Number.MAX_SAFE_INTEGER)
  })
  while (!VirtualTime.isDone(state)) {
    const decided = VirtualTime.next(state)
    state = decided.state
    if (decided.jobs.length === 0) break
    for (const job of decided.jobs) {
      const learned = sampler.usesEarlier === true ? progress * job.trial / state.trials.length : 0
      state = VirtualTime.tell(state, job, { _tag: "Completed", values: pretended(options.goal, job, learned) })
    }
  }
  return Summary.make(state).spent
}

/** How much better the last trials of a sampler that learns are than the first, where chance makes a difference of at most 1. */
const progress = 1.5

/** Losses by chance, better by what was learned until then, and nothing beyond a limit. */
const pretended = ({ limits, objectives }: Goal.Goal, job: Job, learned: number): ReadonlyArray<number> => [
  ...objectives.map(({ direction }, objective) => {
    const loss = Random.make(0, `rehearsal/${objective}`, job.trial).uniform() - learned - 0.001 * job.rung
    return direction === "minimize" ? loss : -loss
  }),
  ...limits.map(({ max, min }) => max ?? min ?? 0)
]
