/**
 * A study as far as its events have told: what is in its `trials` table while
 * it runs, and stays there when it is killed.
 */
import type { PipelineEvent } from "../pipeline/Progress.ts"
import type * as Trials from "./Trials.ts"

type Started = Extract<PipelineEvent, { readonly _tag: "study.started" }>
export type TrialEvent = Extract<PipelineEvent, { readonly _tag: "trial.started" | "trial.completed" | "trial.failed" }>

interface TrialSoFar {
  readonly origin: Trials.Trial["origin"]
  readonly params: Readonly<Record<string, unknown>>
  readonly rungs: ReadonlyArray<Trials.Trial["rungs"][number]>
  readonly error: string | undefined
}

export interface Unfinished {
  readonly started: Started
  readonly trials: Map<number, TrialSoFar>
}

export const make = (started: Started): Unfinished => ({ started, trials: new Map() })

/** Adds what an event tells of a trial. */
export const tell = ({ trials }: Unfinished, event: TrialEvent): void => {
  if (event.repeat > 0) return
  trials.set(
    event.trial,
    next(trials.get(event.trial) ?? { origin: null, params: {}, rungs: [], error: undefined }, event)
  )
}

const next = (trial: TrialSoFar, event: TrialEvent): TrialSoFar => {
  switch (event._tag) {
    case "trial.started":
      return { ...trial, origin: event.origin, params: event.params }
    case "trial.failed":
      return { ...trial, error: event.message }
    case "trial.completed": {
      const { budget, rung, value, values } = event
      // What a study takes for a failure too.
      const bad = values.find((value) => !Number.isFinite(value))
      if (bad !== undefined) return { ...trial, error: `the objective was ${bad}` }
      const rungs = [...trial.rungs.filter((other) => other.rung !== rung), { rung, budget, value, values }]
      return { ...trial, rungs: rungs.toSorted((a, b) => a.rung - b.rung) }
    }
  }
}

/** The trials that have ended a rung, or failed. */
export const toStudy = ({ started, trials }: Unfinished): Trials.Study => ({
  study: started.study,
  metric: started.metric,
  direction: started.direction,
  metrics: started.metrics,
  goal: started.goal,
  space: started.space,
  selected: undefined,
  seed: started.seed,
  sampler: started.sampler,
  scheduler: started.scheduler,
  trials: [...trials]
    .filter(([, { error, rungs }]) => error !== undefined || rungs.length > 0)
    .map(([trial, { error, origin, params, rungs }]) => ({
      trial,
      status: error !== undefined ? "failed" : (rungs.at(-1)?.budget ?? 0) >= started.horizon ? "completed" : "running",
      origin,
      params,
      feasible: undefined,
      onFront: false,
      repeats: [],
      metrics: {},
      error,
      rungs,
      runs: [],
      virtualStart: null,
      virtualFinish: null,
      durationSeconds: null
    }))
})
