/** A study played through beforehand, to tell how much it has to do. */
import type * as Space from "./Space.ts"
import * as Summary from "./Summary.ts"
import * as VirtualTime from "./VirtualTime.ts"

/**
 * The budget that a study spends if no trial fails. Exact for schedulers whose promotions do not depend on which trials
 * are good, as in successive halving; otherwise an estimate.
 */
export const expectedCost = <P extends Space.Params>(study: VirtualTime.State<P>): number => {
  const { limits, objectives } = study.options.goal
  // Nothing is beyond a limit, whichever way it is.
  const values = (job: { readonly trial: number }) => [
    ...objectives.map(() => job.trial),
    ...limits.map(({ max, min }) => max ?? min ?? 0)
  ]
  let state = study
  while (!VirtualTime.isDone(state)) {
    const decided = VirtualTime.next(state)
    state = decided.state
    if (decided.jobs.length === 0) break
    for (const job of decided.jobs) state = VirtualTime.tell(state, job, { _tag: "Completed", values: values(job) })
  }
  return Summary.make(state).spent
}
