/**
 * Stochastic gradient descent with momentum (Sutskever et al., "On the importance of initialization and momentum in deep
 * learning", ICML 2013) as PyTorch's `torch.optim.SGD` has it, without dampening: the learning rate is outside of the
 * momentum, and decay is added to the gradient.
 */
import * as Schema from "effect/Schema"
import * as Rule from "./Rule.ts"
import { BelowOne, NonNegative, withDefault } from "./Setting.ts"

export const Sgd = Schema.Struct({
  name: Schema.tag("sgd"),
  momentum: withDefault(BelowOne, 0),
  /** Look one step of momentum ahead. Without momentum it makes no difference. */
  nesterov: withDefault(Schema.Boolean, false),
  weightDecay: withDefault(NonNegative, 0)
})

export const rule = ({ momentum, nesterov, weightDecay }: typeof Sgd.Type): Rule.Rule => ({
  elementwise: true,
  slots: momentum === 0 ? Rule.alike() : Rule.alike("momentum"),
  temporaries: ([length = 1]) => (momentum === 0 ? 3 : 4) * length,
  update: (tf, held, given, { decays, learningRate, scale }) => {
    const { values } = held
    const gradient = decays && weightDecay !== 0
      ? tf.tidy(() => tf.add(Rule.scaled(tf, given, scale), tf.mul(values, weightDecay)))
      : Rule.scaled(tf, given, scale)
    const velocity = momentum === 0
      ? gradient
      : Rule.setSlot(tf, held, "momentum", (velocity) => tf.add(tf.mul(velocity, momentum), gradient))
    const ahead = momentum !== 0 && nesterov
    Rule.setValues(tf, held, (values) => {
      const direction = ahead ? tf.tidy(() => tf.add(gradient, tf.mul(velocity, momentum))) : velocity
      return tf.sub(values, tf.mul(direction, learningRate))
    })
  }
})
