/**
 * An earlier study, as a later one reads it: the output of another study in the
 * same pipeline, or one from the store.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Direction } from "./Goal.ts"
import { InvalidStudy } from "./InvalidStudy.ts"
import type * as Sampler from "./Sampler.ts"
import type * as Space from "./space/Space.ts"
import * as StoredParams from "./space/StoredParams.ts"

/** What there must be of a study to start from it. The output of `Study.make` has it. */
export interface EarlierStudy {
  readonly selection: { readonly study: string; readonly metric: string }
  readonly search: { readonly direction: Direction }
  readonly trials: ReadonlyArray<{
    readonly status: "running" | "completed" | "stopped" | "failed"
    readonly params: unknown
    readonly rungs: ReadonlyArray<{ readonly budget: number; readonly value: number }>
  }>
}

/** How many trials of an earlier study are of use. */
export const Reused = Schema.Struct({
  study: Schema.String,
  /** How many trials it had. */
  trials: Schema.Int,
  /** How many of them are in the space of this study. */
  used: Schema.Int,
  /** Why the first of the others is not; `null` when all are. */
  leftOut: Schema.NullOr(Schema.String),
  /** Hyperparameters that it did not have: its trials count as having had the defaults. */
  assumed: Schema.Array(Schema.String),
  /** Hyperparameters that this study does not have: what its trials had there is disregarded. */
  dropped: Schema.Array(Schema.String)
})
export interface Reused extends Schema.Schema.Type<typeof Reused> {}

export interface Reading {
  readonly earlier: Sampler.Earlier
  readonly reused: Reused
}

/**
 * The trials of an earlier study as the present space has them. Throws
 * `InvalidStudy` for a study that cannot be learnt from at all: this one itself,
 * or one that went the other way.
 */
export const read = (
  study: EarlierStudy,
  present: { readonly space: Space.Space; readonly name: string; readonly direction: Direction }
): Reading => {
  const { selection: { study: name }, search: { direction }, trials } = study
  if (name === present.name) {
    const expected = "another study, since this one would then depend on its own results"
    throw new InvalidStudy({ option: "earlier", found: `the study "${name}" itself`, expected })
  }
  if (direction !== present.direction) {
    throw new InvalidStudy({
      option: "earlier",
      found: `the study "${name}", which is to ${direction} ${study.selection.metric}`,
      expected: `a study that is to ${present.direction}, as this one is`
    })
  }
  const sign = direction === "minimize" ? 1 : -1
  const observations: Array<Sampler.Observation> = []
  const assumed = new Set<string>(), dropped = new Set<string>()
  let leftOut: string | null = null
  for (const [trial, { params, rungs, status }] of trials.entries()) {
    const reading = StoredParams.read(present.space, params)
    if (Result.isFailure(reading)) {
      leftOut ??= reading.failure.message
      continue
    }
    for (const name of reading.success.assumed) assumed.add(name)
    for (const name of reading.success.dropped) dropped.add(name)
    observations.push({
      trial,
      params: reading.success.params,
      // One that ran when the table was written will not go on for this study.
      status: status === "running" ? "stopped" : status,
      measurements: rungs.map(({ budget, value }, rung) => ({ rung, budget, losses: [sign * value], violations: [] }))
    })
  }
  return {
    earlier: { study: name, observations },
    reused: {
      study: name,
      trials: trials.length,
      used: observations.length,
      leftOut,
      assumed: [...assumed],
      dropped: [...dropped]
    }
  }
}
