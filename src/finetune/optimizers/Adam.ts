/**
 * Adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1), AdamW (Loshchilov and
 * Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2) and their AMSGrad variants (Reddi et al., "On
 * the convergence of Adam and beyond", ICLR 2018), in the arithmetic of PyTorch's `torch.optim.Adam` and `AdamW`.
 *
 * Adam adds the decayed parameter to the gradient, where its moments see it; AdamW shrinks the parameter by itself.
 */
import * as Schema from "effect/Schema"
import type { Tensor, Tensor1D, Tf } from "../../tensor/Backend.ts"
import * as InPlace from "../../tensor/InPlace.ts"
import * as Rule from "./Rule.ts"
import { BelowOne, NonNegative, Positive, withDefault } from "./Setting.ts"

/** What both have, with the defaults of transformers' Trainer, which are PyTorch's but for AdamW's decay. */
const fields = {
  beta1: withDefault(BelowOne, 0.9),
  beta2: withDefault(BelowOne, 0.999),
  epsilon: withDefault(Positive, 1e-8),
  weightDecay: withDefault(NonNegative, 0),
  /** Divide by the largest second moment so far instead of by the present one. */
  amsgrad: withDefault(Schema.Boolean, false)
}

export const AdamW = Schema.Struct({ name: Schema.tag("adamw"), ...fields })
export const Adam = Schema.Struct({ name: Schema.tag("adam"), ...fields })

export const rule = (settings: typeof AdamW.Type | typeof Adam.Type): Rule.Rule => {
  const { amsgrad, beta1, beta2, epsilon, weightDecay } = settings
  const decoupled = settings.name === "adamw"

  /** An update from operations of every backend. */
  const compose = (tf: Tf, held: Rule.Held, given: Tensor1D, factors: InPlace.AdamWFactors): void => {
    const { inverseRoot, rate, scale, shrink } = factors
    const gradient = Rule.scaled(tf, given, scale)
    const first = Rule.setSlot(tf, held, "first", (first) => tf.add(tf.mul(first, beta1), tf.mul(gradient, 1 - beta1)))
    const second = Rule.setSlot(
      tf,
      held,
      "second",
      (second) => tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), 1 - beta2))
    )
    gradient.dispose()
    const squares = amsgrad ? Rule.setSlot(tf, held, "largest", (largest) => tf.maximum(largest, second)) : second
    Rule.setValues(tf, held, (values): Tensor => {
      const deviation = tf.tidy(() => tf.add(tf.mul(tf.sqrt(squares), inverseRoot), epsilon))
      const direction = tf.tidy(() => tf.mul(tf.div(first, deviation), rate))
      deviation.dispose()
      return tf.sub(shrink === 1 ? values : tf.mul(values, shrink), direction)
    })
  }

  return {
    elementwise: true,
    slots: amsgrad ? Rule.alike("first", "second", "largest") : Rule.alike("first", "second"),
    temporaries: ([length = 1], inPlace) => {
      if (!inPlace || amsgrad) return 5 * length
      return decoupled || weightDecay === 0 ? 0 : 3 * length
    },
    update: (tf, held, gradient, { decays, learningRate, scale, step }) => {
      const correction1 = 1 - beta1 ** (step + 1)
      const correction2 = 1 - beta2 ** (step + 1)
      const advance = (gradient: Tensor1D, scale: number): void => {
        const factors = {
          scale,
          beta1,
          beta2,
          inverseRoot: 1 / Math.sqrt(correction2),
          epsilon,
          rate: learningRate / correction1,
          shrink: decoupled && decays ? 1 - learningRate * weightDecay : 1
        }
        const { slots, values } = held
        const state = { values, first: slots.get("first")!, second: slots.get("second")!, gradient }
        if (amsgrad || !InPlace.adamW(tf, state, factors)) compose(tf, held, gradient, factors)
      }
      if (decoupled || !decays || weightDecay === 0) advance(gradient, scale)
      else {
        const whole = tf.tidy(() => tf.add(Rule.scaled(tf, gradient, scale), tf.mul(held.values, weightDecay)))
        advance(whole as Tensor1D, 1)
        whole.dispose()
      }
    }
  }
}
