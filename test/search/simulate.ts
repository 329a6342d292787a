import * as Random from "../../src/random/Random.ts"
import type * as Space from "../../src/search/space/Space.ts"
import * as Summary from "../../src/search/Summary.ts"
import * as VirtualTime from "../../src/search/VirtualTime.ts"

export type Objective<P extends Space.Params> = (job: VirtualTime.Job<P>) => VirtualTime.Outcome

export interface Reality {
  /** How many jobs really run at once. */
  readonly concurrency: number
  /** The seed of how long each job really takes. Without one they all take equally long. */
  readonly delays?: number
  /** The process dies after each of these many results, and starts again with the results that it had. */
  readonly crashes?: ReadonlyArray<number>
}

/** Runs a study on a pretended machine to its end. `results` counts how many jobs were really run to the end. */
export const simulate = <P extends Space.Params>(
  options: VirtualTime.Options<P>,
  objective: Objective<P>,
  reality: Reality
) => {
  const stored = new Map<string, VirtualTime.Outcome>()
  const keyOf = (job: VirtualTime.Job<P>) => `${job.trial}/${job.rung}/${job.repeat}`
  const waits = reality.delays === undefined ? undefined : Random.make(reality.delays, "delays")
  const issued: Array<number> = []
  let results = 0, state: VirtualTime.State<P>
  for (const crash of [...(reality.crashes ?? []), Infinity]) {
    const queue: Array<VirtualTime.Job<P>> = []
    let busy: Array<{ readonly job: VirtualTime.Job<P>; readonly end: number }> = []
    let clock = 0, told = 0
    state = VirtualTime.make(options)
    for (;;) {
      const step = VirtualTime.next(state)
      state = step.state
      queue.push(...step.jobs)
      issued.push(step.jobs.length)
      while (busy.length < reality.concurrency && queue.length > 0) {
        const job = queue.shift()!
        const takes = stored.has(keyOf(job)) ? 0 : waits === undefined ? 1 : waits.uniform() ** 3 * 100
        busy.push({ job, end: clock + takes })
      }
      const first = busy.toSorted((a, b) => a.end - b.end)[0]
      if (first === undefined || told === crash) break
      busy = busy.filter((other) => other !== first)
      clock = first.end
      const key = keyOf(first.job)
      if (!stored.has(key)) results++
      const outcome = stored.get(key) ?? objective(first.job)
      stored.set(key, outcome)
      state = VirtualTime.tell(state, first.job, outcome)
      told++
    }
  }
  return { state: state!, summary: Summary.make(state!), log: state!.log, issued, results }
}
