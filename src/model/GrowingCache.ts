/**
 * Keys and values on a backend, which grow with each forward pass.
 */
import type { Tensor, Tensor1D, Tf } from "../tensor/Backend.ts"
import type { KeyValueCache } from "./KeyValueCache.ts"

export interface GrowingCache extends KeyValueCache {
  /**
   * To be called after each forward pass, with how many of the columns that it added hold tokens, in each row: the first
   * ones, as texts are padded on the right.
   */
  readonly advance: (lengths: ArrayLike<number>) => void
  /** Goes on with these rows alone, in this order. */
  readonly keep: (rows: ReadonlyArray<number>) => void
  readonly dispose: () => void
}

export interface Options {
  /** Rows: texts that are continued together. */
  readonly batch: number
  readonly layers: number
}

interface Held {
  readonly keys: Tensor
  readonly values: Tensor
}

const columnsOf = ({ keys }: Held): number => keys.shape[2]!

/** A cache that holds nothing yet. */
export const make = (tf: Tf, options: Options): GrowingCache => {
  const layers: Array<Held | undefined> = Array.from({ length: options.layers }, () => undefined)
  let batch = options.batch, time = 0
  let lengths = new Int32Array(batch), held = new Uint8Array(0)

  const dispose = ({ keys, values }: Held): void => tf.dispose([keys, values])
  /** Tensors outlive the scope that they are made in: who replaces them disposes of them. */
  const keepTensors = (made: Held): Held => ({ keys: tf.keep(made.keys), values: tf.keep(made.values) })

  return {
    get batch() {
      return batch
    },
    get time() {
      return time
    },
    get lengths() {
      return lengths
    },
    get held() {
      return held
    },
    extend: (layer, keys, values) => {
      if (layer >= layers.length) throw new RangeError(`The cache has ${layers.length} layers and no layer ${layer}.`)
      const before = layers[layer]
      if (before !== undefined && columnsOf(before) !== time) {
        throw new Error("The cache was extended twice without being told, by advance, how many tokens came.")
      }
      const joined = before === undefined
        ? keepTensors({ keys: tf.clone(keys), values: tf.clone(values) })
        : keepTensors({ keys: tf.concat([before.keys, keys], 2), values: tf.concat([before.values, values], 2) })
      if (before !== undefined) dispose(before)
      layers[layer] = joined
      return joined
    },
    advance: (fresh) => {
      const [first] = layers
      const columns = (first === undefined ? 0 : columnsOf(first)) - time
      if (columns === 0 || layers.some((layer) => layer === undefined || columnsOf(layer) !== time + columns)) {
        throw new Error("The cache can advance after a forward pass through all layers, and only once after each.")
      }
      if (fresh.length !== batch || Array.from(fresh).some((length) => length < 0 || length > columns)) {
        throw new RangeError(
          `The cache got ${columns} columns for ${batch} rows, and not [${Array.from(fresh).join(", ")}] tokens.`
        )
      }
      const after = time + columns
      const grown = new Uint8Array(batch * after)
      for (let row = 0; row < batch; row++) {
        grown.set(held.subarray(row * time, (row + 1) * time), row * after)
        grown.fill(1, row * after + time, row * after + time + fresh[row]!)
      }
      lengths = lengths.map((length, row) => length + fresh[row]!)
      held = grown
      time = after
    },
    keep: (rows) => {
      const strange = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= batch)
      if (strange !== undefined) throw new RangeError(`The cache has ${batch} rows and no row ${strange}.`)
      const indices: Tensor1D = tf.tensor1d(Int32Array.from(rows), "int32")
      for (const [index, layer] of layers.entries()) {
        if (layer === undefined) continue
        layers[index] = keepTensors({ keys: tf.gather(layer.keys, indices), values: tf.gather(layer.values, indices) })
        dispose(layer)
      }
      indices.dispose()
      lengths = Int32Array.from(rows, (row) => lengths[row]!)
      const kept = new Uint8Array(rows.length * time)
      for (const [to, row] of rows.entries()) kept.set(held.subarray(row * time, (row + 1) * time), to * time)
      held = kept
      batch = rows.length
    },
    dispose: () => {
      for (const layer of layers) if (layer !== undefined) dispose(layer)
      layers.fill(undefined)
    }
  }
}
