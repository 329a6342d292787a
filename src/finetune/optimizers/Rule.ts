/**
 * What tells one optimizer from another: what it keeps of a parameter from update to update, and how it updates.
 */
import type { Tensor, Tensor1D, Tf } from "../../tensor/Backend.ts"
import * as InPlace from "../../tensor/InPlace.ts"

export type Shape = ReadonlyArray<number>

/** Parameters in one tensor, and what is kept of them: other tensors after each update. */
export interface Held {
  /** Of the parameter itself, or `[length]` where several lie end to end. */
  readonly shape: Shape
  values: Tensor
  /** By the names that {@link Rule.slots} gives. */
  readonly slots: Map<string, Tensor>
}

/** An update, as it is for one tensor of parameters. */
export interface Factors {
  /** Counted from 0. */
  readonly step: number
  readonly learningRate: number
  /** What the gradient is multiplied with before anything else. */
  readonly scale: number
  /** Whether weight decay applies. */
  readonly decays: boolean
}

export interface Rule {
  /** Whether each number is updated without regard to the others, so that parameters may be laid end to end. */
  readonly elementwise: boolean
  /** The shape of each thing that is kept of a parameter, all zeros at first. That of the parameter where elementwise. */
  readonly slots: (shape: Shape) => ReadonlyMap<string, Shape>
  /** The most numbers that an update of such a tensor has at once beside what is held and the gradient. */
  readonly temporaries: (shape: Shape, inPlace: boolean) => number
  /** @param gradient of as many numbers as the values; it stays as it is */
  readonly update: (tf: Tf, held: Held, gradient: Tensor1D, factors: Factors) => void
}

/** A number of slots of the parameter's own shape. */
export const alike = (...names: ReadonlyArray<string>) => (shape: Shape): ReadonlyMap<string, Shape> =>
  new Map(names.map((name) => [name, shape]))

/** The new numbers, where the old ones lie if the backend can; kept beyond the scope of the update they are made in. */
const settle = (tf: Tf, old: Tensor, compute: () => Tensor): Tensor =>
  InPlace.assign(tf, old, tf.keep(tf.tidy(compute)))

export const setValues = (tf: Tf, held: Held, compute: (values: Tensor) => Tensor): void => {
  held.values = settle(tf, held.values, () => compute(held.values))
}

/** Changes what is kept under a name, and answers it. */
export const setSlot = (tf: Tf, held: Held, name: string, compute: (slot: Tensor) => Tensor): Tensor => {
  const old = held.slots.get(name)!
  const slot = settle(tf, old, () => compute(old))
  held.slots.set(name, slot)
  return slot
}

/** The gradient times what clips it, a tensor of its own. */
export const scaled = <T extends Tensor>(tf: Tf, gradient: T, scale: number): T =>
  scale === 1 ? tf.clone(gradient) : tf.mul(gradient, scale)

/** A part `weight` of the way from one tensor to another, from the nearer end: where they are equal, exactly they. */
export const lerp = <T extends Tensor>(tf: Tf, from: T, to: T, weight: number): T => {
  const fromStart = weight < 0.5
  const part = tf.tidy(() => tf.mul(tf.sub(to, from), fromStart ? weight : 1 - weight))
  const found = fromStart ? tf.add(from, part) : tf.sub(to, part)
  part.dispose()
  return found as T
}
