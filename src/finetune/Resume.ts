/**
 * The state of a training run between two steps, and its file.
 *
 * With it a run continues as if it had never stopped: on an exact backend, to the bit. Everything else that a step
 * depends on (order of examples, dropout, learning rate) is a function of the seed and the step.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Parameter, Parameters } from "../model/Architecture.ts"
import * as Safetensors from "../model/Safetensors.ts"
import type { Moments } from "./Optimizer.ts"

/** What a step number means: the same step of another plan is another step. */
export const Plan = Schema.Struct({
  examples: Schema.Int,
  batchSize: Schema.Int,
  totalSteps: Schema.Int,
  seed: Schema.Int
})
export type Plan = typeof Plan.Type

export interface TrainState {
  /** How many steps have been taken. */
  readonly step: number
  /** How many passes over the examples that is. */
  readonly epoch: number
  readonly plan: Plan
  readonly parameters: Parameters
  readonly moments: Moments
}

/** The bytes are a safetensors file, but not a training state. */
export class InvalidTrainState extends Schema.TaggedError<InvalidTrainState>()("InvalidTrainState", {
  reason: Schema.String
}) {
  override get message() {
    return `Not a training state: ${this.reason}. Start the run again from its model.`
  }
}

/** A training state of another run than the one that should continue. */
export class ResumeMismatch extends Schema.TaggedError<ResumeMismatch>()("ResumeMismatch", {
  /** What differs: a part of the plan, or a parameter. */
  field: Schema.String,
  saved: Schema.String,
  given: Schema.String
}) {
  override get message() {
    return `The saved training state has ${this.field} ${this.saved}, this run has ${this.given}. ` +
      `Only the run that saved a state can continue from it.`
  }
}

const format = "attune-train-state-1"

const Metadata = Schema.Struct({
  format: Schema.Literal(format),
  step: Schema.FiniteFromString.check(Schema.isInt()),
  epoch: Schema.FiniteFromString,
  plan: Schema.fromJsonString(Plan)
})

/**
 * The bytes of a state without its parameters, which are kept as the model that they are: a safetensors file with
 * `first.` and `second.` before each parameter's name.
 */
export const encode = (state: TrainState): Uint8Array =>
  Safetensors.encode(
    Object.entries(state.moments).flatMap(([part, moments]) =>
      Array.from(moments, ([name, { data, shape }]) => [`${part}.${name}`, { dtype: "F32", shape, data }] as const)
    ),
    { format, step: String(state.step), epoch: String(state.epoch), plan: JSON.stringify(state.plan) }
  )

/** Reads what {@link encode} wrote, of the parameters that were saved with it. */
export const decode: (
  bytes: Uint8Array,
  parameters: Parameters
) => Effect.Effect<TrainState, InvalidTrainState | Safetensors.MalformedSafetensors> = Effect.fnUntraced(
  function*(bytes: Uint8Array, parameters: Parameters) {
    const { metadata, tensors } = yield* Safetensors.decode(bytes)
    const { epoch, plan, step } = yield* Schema.decodeUnknownEffect(Metadata)(metadata).pipe(
      Effect.mapError((error) => new InvalidTrainState({ reason: `its metadata is not one (${error.message})` }))
    )
    const found = {
      first: new Map<string, Parameter>(),
      second: new Map<string, Parameter>()
    }
    for (const [key, { data, shape }] of tensors) {
      const dot = key.indexOf(".")
      const part = key.slice(0, dot)
      if ((part !== "first" && part !== "second") || !(data instanceof Float32Array)) {
        return yield* new InvalidTrainState({ reason: `it holds ${key}, which no part of a state is` })
      }
      found[part].set(key.slice(dot + 1), { shape, data })
    }
    for (const [name, { shape }] of parameters) {
      for (const part of ["first", "second"] as const) {
        if (found[part].get(name)?.shape.join() !== shape.join()) {
          return yield* new InvalidTrainState({
            reason: `the ${part} moment of ${name} is missing or of another shape`
          })
        }
      }
    }
    return { step, epoch, plan, parameters, moments: found }
  }
)

/** Fails when `state` is not a state of a run with this plan and these parameters. */
export const check = (
  state: TrainState,
  plan: Plan,
  parameters: ReadonlyArray<{ readonly name: string; readonly shape: ReadonlyArray<number> }>
): Effect.Effect<void, ResumeMismatch> =>
  Effect.suspend(() => {
    for (const field of ["examples", "batchSize", "totalSteps", "seed"] as const) {
      if (state.plan[field] !== plan[field]) {
        return Effect.fail(new ResumeMismatch({ field, saved: String(state.plan[field]), given: String(plan[field]) }))
      }
    }
    for (const { name, shape } of parameters) {
      const saved = state.parameters.get(name)?.shape
      if (saved?.join() !== shape.join()) {
        const text = (of: ReadonlyArray<number> | undefined) => of === undefined ? "none" : `[${of.join(", ")}]`
        return Effect.fail(new ResumeMismatch({ field: name, saved: text(saved), given: text(shape) }))
      }
    }
    return Effect.void
  })
