/**
 * When a run has diverged, and should not go on.
 */
import * as Schema from "effect/Schema"

/** A number as it is read, to four digits. */
const short = (value: number): string => String(Number(value.toPrecision(4)))

/** The loss or the gradients left the finite numbers, or grew far beyond all that training passes through. */
export class Diverged extends Schema.TaggedError<Diverged>()("Diverged", {
  /** Counted from 0. */
  step: Schema.Int,
  /** What gave it away. */
  sign: Schema.Literals(["loss is not finite", "gradient is not finite", "loss exploded", "gradient exploded"]),
  // What diverges may be NaN or infinite.
  // @effect-diagnostics-next-line schemaNumber:off
  loss: Schema.Number,
  // @effect-diagnostics-next-line schemaNumber:off
  gradientNorm: Schema.Number,
  learningRate: Schema.Finite
}) {
  override get message() {
    // Steps are counted from 1 wherever a person reads of them.
    return `Training diverged at step ${this.step + 1} (${this.sign}): loss ${short(this.loss)}, gradient norm ` +
      `${short(this.gradientNorm)}, learning rate ${short(this.learningRate)}. A lower learning rate or a longer ` +
      `warm-up usually helps.`
  }
}

/** A loss this many times that of a model that knows nothing has left all that training passes through. */
const lossExplosion = 10

/** So many norms make a median worth comparing with; more are forgotten. */
const remembered = 32

/**
 * A norm this many times the median of those before, in so many steps in a row. Clipping takes the length from such a
 * gradient and leaves its direction, which is noise.
 */
const normExplosion = 1000
const patience = 3

/** What a watchdog remembers: norms of earlier steps, the latest last. */
export type Memory = ReadonlyArray<number>

export interface Watchdog {
  /** Whether the run has diverged at a step; remembers its norm otherwise. */
  readonly sign: (step: { readonly loss: number; readonly gradientNorm: number }) => Diverged["sign"] | undefined
  readonly memory: () => Memory
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** A watchdog of a run whose loss is about `guess` when the model knows nothing. */
export const make = (guess: number, memory: Memory = []): Watchdog => {
  let norms = [...memory]
  return {
    sign: ({ gradientNorm, loss }) => {
      if (!Number.isFinite(loss)) return "loss is not finite"
      if (!Number.isFinite(gradientNorm)) return "gradient is not finite"
      if (loss > lossExplosion * guess) return "loss exploded"
      norms = [...norms, gradientNorm].slice(-remembered)
      // The median is over what came before the suspects, so that they do not raise it themselves.
      const before = norms.slice(0, -patience)
      const exploded = before.length >= remembered / 2 &&
        norms.slice(-patience).every((norm) => norm > normExplosion * median(before))
      return exploded ? "gradient exploded" : undefined
    },
    memory: () => norms
  }
}
