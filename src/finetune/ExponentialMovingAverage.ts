/**
 * An exponential moving average of the weights (Polyak and Juditsky, "Acceleration of stochastic approximation by
 * averaging", 1992, in the form of Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017): weights
 * that change less from step to step than those they follow, and are often better for it.
 *
 * After each update, shadow = decay * shadow + (1 - decay) * weights, as PyTorch's `AveragedModel` with
 * `get_ema_multi_avg_fn` computes it. The shadow begins as the initial weights, so it needs no correction, and leans
 * towards them for the first 1 / (1 - decay) steps or so.
 */
import type { Parameter, Parameters } from "../model/Architecture.ts"
import type { Tensor, Tf } from "../tensor/Backend.ts"
import * as InPlace from "../tensor/InPlace.ts"
import * as Optimizer from "./Optimizer.ts"
import * as Layout from "./optimizers/Layout.ts"
import * as Rule from "./optimizers/Rule.ts"

export interface ExponentialMovingAverage {
  /** To be called after each update of the optimizer. */
  readonly update: () => void
  /** The averaged parameters as they are now, as tensors for the caller to dispose of. */
  readonly parameters: () => ReadonlyMap<string, Tensor>
  /** Copies of the averaged parameters: with them, as `from`, an average continues to the bit. */
  readonly read: () => Promise<Parameters>
  readonly dispose: () => void
}

/** What an average takes of a backend's memory, in numbers (of 4 bytes), beside the optimizer of these parameters. */
export const footprint = (
  targets: Iterable<Layout.Target>,
  settings: Optimizer.Settings
): Pick<Optimizer.Footprint, "held" | "updating"> => {
  const groups = Optimizer.layOut(targets, settings)
  return {
    held: groups.reduce((sum, { length }) => sum + length, 0),
    updating: groups.reduce((most, { length }) => Math.max(most, 2 * length), 0)
  }
}

/** An average of what an optimizer trains, from the shadow given or from the parameters as they are now. */
export const make = (
  tf: Tf,
  optimizer: Optimizer.Optimizer,
  decay: number,
  from?: Parameters
): ExponentialMovingAverage => {
  const { groups } = optimizer
  const current = optimizer.values()
  // Copies: a clone would share its numbers with parameters that are updated where they lie.
  const shadows = tf.tidy(() =>
    groups.map((group, i) => from === undefined ? tf.mul(current[i]!, 1) : Layout.upload(tf, group, from))
  )
  return {
    update: () => {
      for (const [i, values] of optimizer.values().entries()) {
        shadows[i] = InPlace.assign(tf, shadows[i]!, tf.tidy(() => Rule.lerp(tf, shadows[i]!, values, 1 - decay)))
      }
    },
    parameters: () => {
      const views = tf.tidy(() => groups.map((group, i) => Layout.viewsOf(tf, group, shadows[i]!)))
      return new Map(groups.flatMap(({ places }, i) => places.map(({ name }, at) => [name, views[i]![at]!] as const)))
    },
    read: async () => {
      const found = new Map<string, Parameter>()
      for (const [i, group] of groups.entries()) await Layout.read(group, shadows[i]!, found)
      const places = groups.flatMap(({ places }) => places).toSorted((a, b) => a.index - b.index)
      return new Map(places.map(({ name }) => [name, found.get(name)!]))
    },
    dispose: () => tf.dispose(shadows)
  }
}
