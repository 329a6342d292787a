/**
 * One step of training: the loss of a batch, its gradients, and the update.
 */
import type { Model, Parameters } from "../model/Architecture.ts"
import type { Batch } from "../model/Examples.ts"
import * as Weights from "../model/Weights.ts"
import type { Tensor1D, Tf } from "../tensor/Backend.ts"
import * as Backpropagation from "../tensor/Backpropagation.ts"
import type { Hyperparameters } from "./Hyperparameters.ts"
import * as Loss from "./Loss.ts"
import * as Optimizer from "./Optimizer.ts"
import * as Schedule from "./Schedule.ts"

export interface StepResult {
  readonly loss: number
  readonly learningRate: number
  /** Of all gradients together, before clipping. */
  readonly gradientNorm: number
}

export interface Stepper {
  /**
   * Computes loss and gradients of a batch and, unless one of them is not finite, updates the parameters. Waits for the
   * backend once, to read loss and norm.
   */
  readonly take: (batch: Batch, step: number) => Promise<StepResult>
  readonly read: Optimizer.Optimizer["read"]
  readonly dispose: () => void
}

export interface Options {
  readonly model: Model
  readonly parameters: Parameters
  /** Continue with these moments; from zero otherwise. */
  readonly moments?: Optimizer.Moments
  readonly hyperparameters: Hyperparameters
  readonly totalSteps: number
}

/** Puts the parameters on the backend. What `dispose` frees is all that stays there between steps. */
export const make = (tf: Tf, { hyperparameters, model, moments, parameters, totalSteps }: Options): Stepper => {
  const optimizer = Optimizer.make(tf, parameters, hyperparameters, moments)
  const schedule = Schedule.make(hyperparameters.schedule, totalSteps, hyperparameters.warmupRatio)
  const names = Array.from(parameters.keys())
  const { dropout: rate, learningRate: peak, maxGradientNorm, seed } = hyperparameters

  /** Loss and squared norm as one tensor, to be read at once, and the joined gradients. */
  const differentiate = (batch: Batch, step: number) =>
    tf.tidy(() => {
      const current = optimizer.parameters()
      const dropout = rate === 0 ? undefined : { seed, step, rate }
      const { gradients: apart, value } = Backpropagation.valueAndGradients(
        tf,
        () => Loss.mean(tf, model, Weights.make(tf, model, current), batch, dropout === undefined ? {} : { dropout }),
        names.map((name) => current.get(name)!)
      )
      const gradients = optimizer.join(apart)
      return [tf.stack([value, optimizer.squaredNorm(gradients)]) as Tensor1D, ...gradients]
    }) as [Tensor1D, ...Array<Tensor1D>]

  return {
    take: async (batch, step) => {
      const [report, ...gradients] = differentiate(batch, step)
      try {
        const [loss, squaredNorm] = await report.data<"float32">() as unknown as [number, number]
        const gradientNorm = Math.sqrt(squaredNorm)
        const learningRate = peak * Schedule.factor(schedule, step)
        if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) {
          const scale = Optimizer.clipScale(gradientNorm, maxGradientNorm)
          optimizer.update(gradients, { step, learningRate, scale })
        }
        return { loss, learningRate, gradientNorm }
      } finally {
        tf.dispose([report, ...gradients])
      }
    },
    read: optimizer.read,
    dispose: optimizer.dispose
  }
}
