/**
 * Learning-rate schedules: a factor of the peak learning rate as a pure function of the step.
 *
 * A schedule spans the full horizon of a run, however early a rung stops it, so a promoted run continues on the very
 * curve that it left. The formulas are those of transformers (`optimization.py`), which the tests hold them to. Where
 * transformers ends at a learning rate, these end at a share of the peak, so that they are the same for parameters of
 * different rates.
 */
import * as Schema from "effect/Schema"
import { Positive, Share, withDefault } from "./optimizers/Setting.ts"

/** Where the schedule ends, as a share of the peak. */
const minimumRate = withDefault(Share, 0)

/** How many whole waves of a cosine the factor goes through: with a half it falls once. */
const waves = withDefault(Schema.Finite.check(Schema.isBetween({ minimum: 0.5, maximum: 1000 })), 0.5)

const ramp = Schema.Literals(["linear", "cosine", "1-sqrt"])

/** A schedule by its name, and what can be set of it. Everything but the name may be left out. */
export const Settings = Schema.Union([
  Schema.Struct({ name: Schema.tag("linear"), minimumRate }),
  /** Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation 5. */
  Schema.Struct({ name: Schema.tag("cosine"), minimumRate, waves }),
  /** The same, with restarts at the peak, all after the same number of steps. */
  Schema.Struct({
    name: Schema.tag("cosine-with-restarts"),
    minimumRate,
    /** How many times it falls. */
    cycles: withDefault(Schema.Int.check(Schema.isGreaterThan(0)), 1)
  }),
  Schema.Struct({ name: Schema.tag("constant") }),
  /** Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 3, with a timescale of its own. */
  Schema.Struct({
    name: Schema.tag("inverse-square-root"),
    /** After so many steps beyond the warm-up the factor is one over the root of 2. As many as the warm-up, or 10,000. */
    timescale: withDefault(Schema.NullOr(Positive), null)
  }),
  Schema.Struct({ name: Schema.tag("polynomial"), minimumRate, power: withDefault(Positive, 1) }),
  /**
   * Hu et al., "MiniCPM: unveiling the potential of small language models with scalable training strategies", 2024,
   * section 4: at the peak for most of the run. Hägele et al., "Scaling laws and compute-optimal training beyond fixed
   * training durations", NeurIPS 2024, find a fifth of the steps enough to fall in, and the decay `1-sqrt` best.
   */
  Schema.Struct({
    name: Schema.tag("warmup-stable-decay"),
    /** Also where the warm-up begins. */
    minimumRate,
    /** The share of all steps in which it falls: the last ones. */
    decayRatio: withDefault(Share, 0.2),
    decay: withDefault(ramp, "cosine"),
    warmup: withDefault(ramp, "linear"),
    waves
  })
])
export type Settings = typeof Settings.Type
export type Name = Settings["name"]

/** The names of all schedules. */
export const names = [
  "linear",
  "cosine",
  "cosine-with-restarts",
  "constant",
  "inverse-square-root",
  "polynomial",
  "warmup-stable-decay"
] as const satisfies ReadonlyArray<Name>

export const Name: Schema.Literals<typeof names> = Schema.Literals(names)

/** A schedule with everything left at its default. */
export const defaultsOf = (name: Name): Settings => Schema.decodeUnknownSync(Settings)({ name })

const Steps = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

export const Schedule = Schema.Struct({
  settings: Settings,
  /** Steps of growth from zero to the peak. */
  warmupSteps: Steps,
  /** Steps of the whole run, warm-up included. */
  totalSteps: Steps
})
export type Schedule = typeof Schedule.Type

/** A share of the run, rounded up to whole steps as transformers does, or a number of steps. */
export type Warmup = number | { readonly steps: number }

/** A schedule of a run. A warm-up that is longer than the run ends with it. */
export const make = (schedule: Name | Settings, totalSteps: number, warmup: Warmup): Schedule => ({
  settings: typeof schedule === "string" ? defaultsOf(schedule) : schedule,
  totalSteps,
  warmupSteps: Math.min(totalSteps, typeof warmup === "number" ? Math.ceil(totalSteps * warmup) : warmup.steps)
})

const cosine = (progress: number): number => 0.5 * (1 + Math.cos(Math.PI * progress))

/** What falls from 1 to 0 while progress goes from 0 to 1. */
const fall = (shape: typeof ramp.Type, progress: number, waves: number): number => {
  switch (shape) {
    case "linear":
      return 1 - progress
    case "cosine":
      return cosine(2 * waves * progress)
    case "1-sqrt":
      return 1 - Math.sqrt(progress)
  }
}

/** What grows from 0 to 1 while progress does. */
const rise = (shape: typeof ramp.Type, progress: number): number => {
  switch (shape) {
    case "linear":
      return progress
    case "cosine":
      return 1 - cosine(progress)
    case "1-sqrt":
      return 1 - Math.sqrt(1 - progress)
  }
}

/** The factor from the end of the warm-up, at progress 0, to the last step, at progress 1. */
const afterWarmup = ({ settings, totalSteps, warmupSteps }: Schedule, step: number): number => {
  const left = Math.max(1, totalSteps - warmupSteps)
  const progress = Math.min(1, (step - warmupSteps) / left)
  const down = (factor: number, minimum: number): number => factor * (1 - minimum) + minimum
  switch (settings.name) {
    case "linear":
      return down(1 - progress, settings.minimumRate)
    case "cosine":
      return down(cosine(2 * settings.waves * progress), settings.minimumRate)
    case "cosine-with-restarts":
      return down(progress === 1 ? 0 : cosine(settings.cycles * progress % 1), settings.minimumRate)
    case "constant":
      return 1
    case "inverse-square-root": {
      const timescale = settings.timescale ?? (warmupSteps || 10_000)
      return 1 / Math.sqrt((step - warmupSteps + timescale) / timescale)
    }
    case "polynomial":
      return down((1 - progress) ** settings.power, settings.minimumRate)
    case "warmup-stable-decay": {
      const decaySteps = Math.min(left, Math.round(totalSteps * settings.decayRatio))
      const decayed = Math.min(1, (step - (warmupSteps + left - decaySteps)) / Math.max(1, decaySteps))
      return decayed <= 0 ? 1 : down(fall(settings.decay, decayed, settings.waves), settings.minimumRate)
    }
  }
}

/** The factor of the peak learning rate at `step`, counted from 0: the first step of a warm-up has factor 0. */
export const factor = (schedule: Schedule, step: number): number => {
  const { settings, warmupSteps } = schedule
  if (step >= warmupSteps) return Math.max(0, afterWarmup(schedule, step))
  const progress = step / Math.max(1, warmupSteps)
  if (settings.name !== "warmup-stable-decay") return progress
  return rise(settings.warmup, progress) * (1 - settings.minimumRate) + settings.minimumRate
}
