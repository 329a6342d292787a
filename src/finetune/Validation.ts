/**
 * The loss on validation data while a run goes on: when it is taken, which one was the best, and when waiting for a better
 * one has taken too long.
 */
import type { Parameters } from "../model/Architecture.ts"

/** The best that was seen, and how long ago. */
export interface Standing {
  /** The lowest loss; `Infinity` before the first evaluation. */
  readonly loss: number
  /** Steps taken when it was seen. */
  readonly step: number
  /** Evaluations since then. */
  readonly waited: number
  /** The weights of that moment, where they are to be restored. */
  readonly parameters?: Parameters
}

export const nothingSeen: Standing = { loss: Infinity, step: 0, waited: 0 }

/** Whether the run is evaluated when so many steps are taken: every `evaluateEvery` epochs, in whole steps, and at the end. */
export const isDue = (
  step: number,
  { evaluateEvery, perEpoch, total }: {
    readonly evaluateEvery: number
    readonly perEpoch: number
    readonly total: number
  }
): boolean => step === total || step % Math.max(1, Math.round(evaluateEvery * perEpoch)) === 0

/** What is known after an evaluation. A loss that is not a number is no better than any. */
export const after = (standing: Standing, step: number, loss: number): Standing =>
  loss < standing.loss ? { loss, step, waited: 0 } : { ...standing, waited: standing.waited + 1 }
