/**
 * Who may look at whom, and where each token stands: the same for all families.
 */
import type { Tensor, Tf } from "../tensor/Backend.ts"
import type { TokenBatch } from "./Architecture.ts"
import type { KeyValueCache } from "./KeyValueCache.ts"

/** Low enough to vanish in the softmax, and finite, so that no arithmetic on it makes a NaN. */
const forbidden = -1e9

/**
 * The position of each token in its text, row-major `[batch, time]`. Padding on the right goes on counting: nothing looks
 * at it.
 */
export const positions = ({ batch, segments, time }: TokenBatch, cache?: KeyValueCache): Int32Array => {
  const found = new Int32Array(batch * time)
  for (let row = 0; row < batch; row++) {
    let position = cache?.lengths[row] ?? 0
    for (let column = 0; column < time; column++) {
      const at = row * time + column
      if (segments !== undefined && column > 0 && segments[at] !== segments[at - 1]) position = 0
      found[at] = position++
    }
  }
  return found
}

/**
 * 0 where a query may look and -1e9 where not: at tokens of its own text, padding left out, and with `causal` at none that
 * follows it. `[batch, 1, time, keys]`, the keys being those of the cache and then those of the batch; `[1, 1, time, keys]`
 * when the rows are alike, and `undefined` when every query may look at every key.
 */
export const mask = (
  tf: Tf,
  { batch, lengths, segments, time }: TokenBatch,
  causal: boolean,
  cache?: KeyValueCache
): Tensor | undefined => {
  const past = cache?.time ?? 0
  const keys = past + time
  const full = segments === undefined && lengths.every((length) => length === time) &&
    (cache === undefined || cache.held.every((held) => held === 1))
  if (full && (!causal || time === 1)) return undefined
  const rows = full ? 1 : batch
  const values = new Float32Array(rows * time * keys).fill(forbidden)
  for (let row = 0; row < rows; row++) {
    for (let query = 0; query < time; query++) {
      const start = (row * time + query) * keys
      for (let column = 0; column < past; column++) {
        if (full || cache!.held[row * past + column] === 1) values[start + column] = 0
      }
      const end = Math.min(causal ? query + 1 : time, full ? time : lengths[row]!)
      if (segments === undefined) {
        values.fill(0, start + past, start + past + end)
        continue
      }
      const own = segments[row * time + query]
      for (let key = 0; key < end; key++) {
        if (segments[row * time + key] === own) values[start + past + key] = 0
      }
    }
  }
  return tf.tensor(values, [rows, 1, time, keys], "float32")
}
