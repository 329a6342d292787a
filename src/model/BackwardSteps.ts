/**
 * A backward pass as the memory of its operations, one after the other: what footprints are counted from.
 */

/** An operation on the way back, in numbers. */
export interface Step {
  /** What it kept until now, and lets go. */
  readonly saved: number
  /** The gradients of its parameters. */
  readonly learned: number
  /** What is live meanwhile that is neither of these: gradients of values, and what it computes them with. */
  readonly live: number
}

/** What a layer is given. */
export interface Passing {
  readonly positions: number
  /** Positions beyond attention: in the last layer only those that are wanted. */
  readonly beyond: number
  /** Weights of attention. */
  readonly scores: number
  /** Queries times keys, of one head. */
  readonly square: number
  readonly last: boolean
}

export const savedBy = (steps: ReadonlyArray<Step>): number => steps.reduce((sum, { saved }) => sum + saved, 0)

export const learnedBy = (steps: ReadonlyArray<Step>): number => steps.reduce((sum, { learned }) => sum + learned, 0)

/** The most, on the way back through these steps, beyond what they had kept before the first. */
export const mostBeyond = (steps: ReadonlyArray<Step>): number => {
  let beyond = 0, most = 0
  for (const { learned, live, saved } of steps) {
    most = Math.max(most, beyond + learned + live)
    beyond += learned - saved
  }
  return most
}
