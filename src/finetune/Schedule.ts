/**
 * Learning-rate schedules: a factor of the peak learning rate as a pure function of the step.
 *
 * A schedule spans the full horizon of a run, however early a rung stops it, so a promoted run continues on the very
 * curve that it left. The formulas are those of transformers (`optimization.py`), which the tests hold them to.
 */
import * as Schema from "effect/Schema"

/** What the factor does from the end of the warm-up, at progress 0, to the last step, at progress 1. */
const shapes = {
  linear: (progress: number) => Math.max(0, 1 - progress),
  /** Half a period (Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, without restarts). */
  cosine: (progress: number) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress))),
  constant: (_progress: number) => 1
} as const

export type Name = keyof typeof shapes

/** The names of all schedules. */
export const names = Object.keys(shapes) as ReadonlyArray<Name>

export const Name = Schema.Literals(names)

export interface Schedule {
  readonly name: Name
  /** Steps of linear growth from zero to the peak. */
  readonly warmupSteps: number
  /** Steps of the whole run, warm-up included. */
  readonly totalSteps: number
}

/** A schedule whose warm-up takes a share of the run, rounded up to whole steps as transformers does. */
export const make = (name: Name, totalSteps: number, warmupRatio: number): Schedule => ({
  name,
  totalSteps,
  warmupSteps: Math.ceil(totalSteps * warmupRatio)
})

/** The factor of the peak learning rate at `step`, counted from 0: the first step of a warm-up has factor 0. */
export const factor = ({ name, totalSteps, warmupSteps }: Schedule, step: number): number =>
  step < warmupSteps
    ? step / Math.max(1, warmupSteps)
    : shapes[name]((step - warmupSteps) / Math.max(1, totalSteps - warmupSteps))
