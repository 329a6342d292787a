/**
 * Lion (Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, algorithm 2): every number moves by
 * the learning rate, in the direction of an interpolated momentum's sign. Its learning rate wants to be 3 to 10 times
 * smaller than AdamW's, and its weight decay as many times larger (section 5 there).
 */
import * as Schema from "effect/Schema"
import * as Rule from "./Rule.ts"
import { BelowOne, NonNegative, withDefault } from "./Setting.ts"

export const Lion = Schema.Struct({
  name: Schema.tag("lion"),
  /** How much of the momentum is in the direction of an update. */
  beta1: withDefault(BelowOne, 0.9),
  /** How much of the momentum stays. */
  beta2: withDefault(BelowOne, 0.99),
  /** Decoupled, as in AdamW. */
  weightDecay: withDefault(NonNegative, 0)
})

export const rule = ({ beta1, beta2, weightDecay }: typeof Lion.Type): Rule.Rule => ({
  elementwise: true,
  slots: Rule.alike("momentum"),
  temporaries: ([length = 1]) => 4 * length,
  update: (tf, held, given, { decays, learningRate, scale }) => {
    const gradient = Rule.scaled(tf, given, scale)
    const shrink = decays ? 1 - learningRate * weightDecay : 1
    Rule.setValues(tf, held, (values) => {
      const momentum = held.slots.get("momentum")!
      const sum = tf.tidy(() => tf.add(tf.mul(momentum, beta1), tf.mul(gradient, 1 - beta1)))
      const sign = tf.sign(sum)
      sum.dispose()
      const step = tf.mul(sign, learningRate)
      sign.dispose()
      return tf.sub(shrink === 1 ? values : tf.mul(values, shrink), step)
    })
    Rule.setSlot(tf, held, "momentum", (momentum) => Rule.lerp(tf, momentum, gradient, 1 - beta2))
  }
})
