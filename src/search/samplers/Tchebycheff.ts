/**
 * Several losses as one, with other weights at every proposal, so that the
 * proposals together reach all of the Pareto front: ParEGO (Knowles, "ParEGO: a
 * hybrid algorithm with on-line landscape approximation for expensive
 * multiobjective optimization problems", IEEE TEC 10, 2006, equation 2).
 */
import type * as Random from "../../random/Random.ts"

/** How much the sum counts beside the maximum, so that a weakly dominated point is not as good as its better. */
const augmentation = 0.05

/** Weights of at least 0 that sum to 1, all such equally likely (spacings of uniform draws). */
export const weights = (objectives: number, random: Random.Random): Float64Array => {
  const cuts = Float64Array.from({ length: objectives - 1 }, () => random.uniform()).toSorted()
  return Float64Array.from({ length: objectives }, (_, i) => (cuts[i] ?? 1) - (cuts[i - 1] ?? 0))
}

/** The augmented Tchebycheff norm of each trial's losses, every objective scaled to [0, 1] over the trials. */
export const scalarise = (losses: ReadonlyArray<Float64Array>, weights: ArrayLike<number>): Float64Array => {
  const size = losses[0]!.length
  const most = new Float64Array(size).fill(-Infinity), sum = new Float64Array(size)
  for (const [objective, all] of losses.entries()) {
    const low = all.reduce((a, b) => Math.min(a, b), Infinity), high = all.reduce((a, b) => Math.max(a, b), -Infinity)
    for (let i = 0; i < size; i++) {
      const share = weights[objective]! * (high > low ? (all[i]! - low) / (high - low) : 0)
      most[i] = Math.max(most[i]!, share)
      sum[i]! += share
    }
  }
  return most.map((each, i) => each + augmentation * sum[i]!)
}
