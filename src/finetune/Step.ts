/**
 * One step of training: the loss of a batch, its gradients, and the update.
 */
import type { Model, Parameters, Weights } from "../model/Architecture.ts"
import type { Dropout } from "../model/Dropout.ts"
import type { Batch } from "../model/Examples.ts"
import type { Placement } from "../model/Lora.ts"
import * as Uploaded from "../model/Uploaded.ts"
import { make as makeWeights } from "../model/Weights.ts"
import type { Scalar, Tensor, Tensor1D, Tf } from "../tensor/Backend.ts"
import * as Backpropagation from "../tensor/Backpropagation.ts"
import * as ExponentialMovingAverage from "./ExponentialMovingAverage.ts"
import { type Hyperparameters, optimizerOf, scheduleOf } from "./Hyperparameters.ts"
import * as Loss from "./Loss.ts"
import * as Optimizer from "./Optimizer.ts"
import * as Schedule from "./Schedule.ts"

export interface StepResult {
  readonly loss: number
  readonly learningRate: number
  /** Of all gradients together, before clipping. */
  readonly gradientNorm: number
  /** What clipping multiplied them with. */
  readonly clipScale: number
}

/** What a run has come to. */
export interface Reached {
  /** The trained parameters as they are now. */
  readonly parameters: Parameters
  readonly optimizer: Optimizer.State
  /** Their moving averages, where they are taken. */
  readonly average?: Parameters
}

export interface Stepper {
  /**
   * Computes loss and gradients of a batch, which comes in parts that are computed one after the other, and updates the
   * parameters unless one of them is not finite. Waits for the backend once, to read loss and norm.
   */
  readonly take: (parts: ReadonlyArray<Batch>, step: number) => Promise<StepResult>
  /** The loss of a part, without dropout and smoothing, times its share of `positions`; of the averages where they are taken. */
  readonly evaluate: (part: Batch, positions: number) => Promise<number>
  /** Without `state` what the optimizer keeps is left out. */
  readonly read: (options?: { readonly state?: boolean }) => Promise<Reached>
  readonly dispose: () => void
}

export interface Options {
  readonly model: Model
  /** All parameters of the model, and of its adapter. */
  readonly parameters: Parameters
  readonly adapter?: Placement | undefined
  /** Those that learn: all of them, at the same rate, unless given. */
  readonly targets?: ReadonlyArray<Optimizer.Target>
  /** Continue with these instead of from the beginning. */
  readonly state?: Pick<Reached, "optimizer" | "average">
  readonly hyperparameters: Hyperparameters
  readonly totalSteps: number
}

/** Puts the parameters on the backend. What `dispose` frees is all that stays there between steps. */
export const make = (tf: Tf, options: Options): Stepper => {
  const { adapter, hyperparameters, model, parameters, state, totalSteps } = options
  const targets = options.targets ??
    Array.from(parameters, ([name, { shape }]) => Optimizer.target({ name, shape }))
  const trained = new Set(targets.map(({ name }) => name))
  const settings = optimizerOf(hyperparameters)
  const schedule = scheduleOf(hyperparameters, totalSteps)
  const { dropout: rate, emaDecay, labelSmoothing, maxGradientNorm, seed } = hyperparameters

  const frozen = Uploaded.upload(tf, new Map(Array.from(parameters).filter(([name]) => !trained.has(name))))
  const optimizer = attempt(frozen, () =>
    Optimizer.make(
      tf,
      targets.map((target) => ({ ...target, data: parameters.get(target.name)!.data })),
      settings,
      state?.optimizer
    ))
  const average = emaDecay === 0
    ? undefined
    : attempt(
      [...frozen.values(), optimizer],
      () => ExponentialMovingAverage.make(tf, optimizer, emaDecay, state?.average)
    )

  /** Without a moment nothing is dropped in an adapter. */
  const weightsOf = (learned: ReadonlyMap<string, Tensor>, moment?: Dropout): Weights =>
    makeWeights(tf, model, new Map([...frozen, ...learned]), {
      trained,
      ...(adapter === undefined ? {} : { adapter }),
      ...(moment === undefined ? {} : { dropout: moment })
    })

  /** Loss and joined gradients of a part of a batch. */
  const differentiate = (batch: Batch, positions: number, moment: Dropout) =>
    tf.tidy(() => {
      const current = optimizer.parameters()
      const weights = weightsOf(current, moment)
      const { gradients, value } = Backpropagation.valueAndGradients(
        tf,
        () =>
          Loss.mean(tf, model, weights, batch, {
            positions,
            labelSmoothing,
            recompute: hyperparameters.gradientCheckpointing,
            ...(rate === 0 ? {} : { dropout: { ...moment, ...(rate === null ? {} : { rate }) } })
          }),
        targets.map(({ name }) => current.get(name)!)
      )
      return [value, ...optimizer.join(gradients)]
    }) as [Scalar, ...Array<Tensor1D>]

  /** Loss and squared norm as one tensor, to be read at once, and the joined gradients of all parts. */
  const accumulate = (parts: ReadonlyArray<Batch>, step: number): [Tensor1D, ...Array<Tensor1D>] => {
    const positions = parts.reduce((sum, { rows }) => sum + rows.length, 0)
    let sums: ReadonlyArray<Tensor1D | Scalar> = []
    try {
      for (const [part, batch] of parts.entries()) {
        const found = differentiate(batch, positions, { seed, step, part })
        const before = sums
        sums = part === 0 ? found : found.map((one, i): Tensor1D | Scalar => {
          const both = tf.add<Tensor1D>(before[i]!, one)
          tf.dispose([before[i]!, one])
          return both
        })
      }
      const [loss, ...gradients] = sums as [Scalar, ...Array<Tensor1D>]
      const report = tf.tidy(() => tf.stack([loss, optimizer.squaredNorm(gradients)]) as Tensor1D)
      loss.dispose()
      return [report, ...gradients]
    } catch (cause) {
      tf.dispose([...sums])
      throw cause
    }
  }

  return {
    take: async (parts, step) => {
      const [report, ...gradients] = accumulate(parts, step)
      try {
        const [loss, squaredNorm] = await report.data<"float32">() as unknown as [number, number]
        const gradientNorm = Math.sqrt(squaredNorm)
        const learningRate = hyperparameters.learningRate * Schedule.factor(schedule, step)
        const scale = Optimizer.clipScale(gradientNorm, maxGradientNorm)
        if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) {
          optimizer.update(gradients, { step, learningRate, scale })
          average?.update()
        }
        return { loss, learningRate, gradientNorm, clipScale: scale }
      } finally {
        tf.dispose([report, ...gradients])
      }
    },
    evaluate: async (part, positions) => {
      const loss = tf.tidy(() => {
        const learned = average === undefined ? optimizer.parameters() : average.parameters()
        return Loss.mean(tf, model, weightsOf(learned), part, { positions })
      })
      try {
        return (await loss.data<"float32">())[0]!
      } finally {
        loss.dispose()
      }
    },
    read: async (options) => {
      const { parameters, state: optimizerState } = await optimizer.read(options)
      return {
        parameters,
        optimizer: optimizerState,
        ...(average === undefined ? {} : { average: await average.read() })
      }
    },
    dispose: () => {
      average?.dispose()
      optimizer.dispose()
      tf.dispose([...frozen.values()])
    }
  }
}

interface Disposable {
  readonly dispose: () => unknown
}

/** Disposes of what is there already when the next thing has no room. */
const attempt = <A>(held: ReadonlyMap<string, Tensor> | ReadonlyArray<Disposable>, make: () => A): A => {
  try {
    return make()
  } catch (cause) {
    for (const one of held.values()) one.dispose()
    throw cause
  }
}
