/**
 * The keys and values of tokens that a model has seen, so that generation computes each token once.
 */
import type { Tensor } from "../tensor/Backend.ts"

export interface KeyValueCache {
  /** Rows: texts that are continued together. */
  readonly batch: number
  /** Columns that are filled for every row, padding included. */
  readonly time: number
  /** How many tokens of each row the cache holds: the position of its next one. */
  readonly lengths: Int32Array
  /** 1 where a column of a row holds a token, 0 where it holds padding: row-major `[batch, time]`. */
  readonly held: Uint8Array
  /**
   * Appends a layer's keys and values, each `[batch, heads, new, size]`, and gives all of them, `[batch, heads, time + new,
   * size]`, which the cache goes on to own.
   */
  readonly extend: (layer: number, keys: Tensor, values: Tensor) => { readonly keys: Tensor; readonly values: Tensor }
}
