/**
 * In which order a run sees its examples.
 */
import * as Random from "../random/Random.ts"

export interface PlanOptions {
  readonly batchSize: number
  readonly seed: number
  readonly epoch: number
  /** Batch texts of similar length together. */
  readonly groupByLength: boolean
}

/** How many batches are sorted by length together: enough to save most padding, few enough to keep batches varied. */
const grouped = 16

/** How many steps a pass over the examples takes; the last batch may be smaller. */
export const stepsPerEpoch = (examples: number, batchSize: number): number => Math.ceil(examples / batchSize)

/**
 * The batches of an epoch, as indices of examples: a function of the seed and the epoch alone, so that a resumed run
 * continues at any batch.
 *
 * Grouping by length cuts the shuffled examples into stretches of 16 batches, sorts each by length, cuts it into
 * batches and shuffles those (as transformers' LengthGroupedSampler does within its stretches).
 */
export const plan = (
  lengths: ArrayLike<number>,
  { batchSize, epoch, groupByLength, seed }: PlanOptions
): ReadonlyArray<Uint32Array> => {
  const order = Random.make(seed, "order", epoch).permutation(lengths.length)
  if (groupByLength) {
    for (let start = 0; start < order.length; start += grouped * batchSize) {
      order.subarray(start, start + grouped * batchSize).sort((a, b) => lengths[a]! - lengths[b]! || a - b)
    }
  }
  const batches: Array<Uint32Array> = []
  for (let start = 0; start < order.length; start += batchSize) batches.push(order.subarray(start, start + batchSize))
  if (!groupByLength) return batches
  const shuffled = Random.make(seed, "batch order", epoch).permutation(batches.length)
  return Array.from(shuffled, (index) => batches[index]!)
}
