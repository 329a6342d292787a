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
import type { State } from "./Optimizer.ts"
import type * as Validation from "./Validation.ts"
import type * as Watchdog from "./Watchdog.ts"

/** What a step number means: the same step of another plan is another step. */
export const Plan = Schema.Struct({
  examples: Schema.Int,
  /** Rows that the examples make: fewer where several are packed in one. */
  rows: Schema.Int,
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
  /** The trained parameters, and maybe others of the model. */
  readonly parameters: Parameters
  /** What the optimizer keeps of them, by slot and parameter. */
  readonly optimizer: State
  /** Their moving averages, where they are taken. */
  readonly average?: Parameters
  readonly validation: Validation.Standing
  readonly watchdog: Watchdog.Memory
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

const format = "attune-train-state-2"

const Metadata = Schema.Struct({
  format: Schema.Literal(format),
  step: Schema.FiniteFromString.check(Schema.isInt()),
  epoch: Schema.FiniteFromString,
  plan: Schema.fromJsonString(Plan),
  validation: Schema.fromJsonString(Schema.Struct({
    // Before the first evaluation there is no loss.
    loss: Schema.NullOr(Schema.Finite),
    step: Schema.Int,
    waited: Schema.Int
  })),
  watchdog: Schema.fromJsonString(Schema.Array(Schema.Finite))
})

/**
 * The bytes of a state: a safetensors file with `optimizer.`, the name of the optimizer's slot and a dot before each
 * parameter's name, and likewise `average.` and `best.`. Parameters that are kept in `model`, which is stored by itself, are
 * left out; the others, where the model has their averages or better ones, have `weights.` before their names.
 */
export const encode = (state: TrainState, model: Parameters): Uint8Array => {
  const named = (prefix: string, parameters: Parameters | undefined) =>
    Array.from(
      parameters ?? [],
      ([name, { data, shape }]) => [`${prefix}.${name}`, { dtype: "F32", shape, data }] as const
    )
  const own = new Map(Array.from(state.parameters).filter(([name, { data }]) => model.get(name)?.data !== data))
  const { loss, parameters: best, step, waited } = state.validation
  return Safetensors.encode(
    [
      ...Array.from(state.optimizer).flatMap(([slot, kept]) => named(`optimizer.${slot}`, kept)),
      ...named("weights", own),
      ...named("average", state.average),
      ...named("best", best)
    ],
    {
      format,
      step: String(state.step),
      epoch: String(state.epoch),
      plan: JSON.stringify(state.plan),
      validation: JSON.stringify({ loss: Number.isFinite(loss) ? loss : null, step, waited }),
      watchdog: JSON.stringify(state.watchdog)
    }
  )
}

/** Reads what {@link encode} wrote, with the trained parameters of the model that was stored beside it. */
export const decode: (
  bytes: Uint8Array,
  model: Parameters
) => Effect.Effect<TrainState, InvalidTrainState | Safetensors.MalformedSafetensors> = Effect.fnUntraced(
  function*(bytes: Uint8Array, model: Parameters) {
    const { metadata, tensors } = yield* Safetensors.decode(bytes)
    const { epoch, plan, step, validation, watchdog } = yield* Schema.decodeUnknownEffect(Metadata)(metadata).pipe(
      Effect.mapError((error) => new InvalidTrainState({ reason: `its metadata is not one (${error.message})` }))
    )
    const optimizer = new Map<string, Map<string, Parameter>>()
    const parameters = new Map(model)
    const average = new Map<string, Parameter>(), best = new Map<string, Parameter>()
    for (const [key, { data, shape }] of tensors) {
      const [part, ...rest] = key.split(".")
      const slot = part === "optimizer" ? rest.shift() ?? "" : ""
      const name = rest.join(".")
      const into = part === "weights"
        ? parameters
        : part === "average"
        ? average
        : part === "best"
        ? best
        : part === "optimizer" && slot !== ""
        ? optimizer.get(slot) ?? new Map<string, Parameter>()
        : undefined
      if (into === undefined || !model.has(name) || !(data instanceof Float32Array)) {
        return yield* new InvalidTrainState({ reason: `it holds ${key}, which no part of a state is` })
      }
      if (part === "optimizer") optimizer.set(slot, into)
      into.set(name, { shape, data })
    }
    return {
      step,
      epoch,
      plan,
      parameters,
      optimizer,
      ...(average.size === 0 ? {} : { average }),
      validation: {
        ...validation,
        loss: validation.loss ?? Infinity,
        ...(best.size === 0 ? {} : { parameters: best })
      },
      watchdog
    }
  }
)

type Shapes = ReadonlyMap<string, ReadonlyArray<number>>

const text = (shape: ReadonlyArray<number> | undefined) => shape === undefined ? "none" : `[${shape.join(", ")}]`

/** What of the second is not in the first under the same name, or of another shape. */
const differing = function*(
  saved: ReadonlyMap<string, { readonly shape: ReadonlyArray<number> }> | undefined,
  given: Shapes
) {
  for (const [name, shape] of given) {
    const found = saved?.get(name)?.shape
    if (found?.join() !== shape.join()) yield { name, saved: text(found), given: text(shape) }
  }
}

/**
 * Fails when `state` is not a state of a run with this plan, these parameters and an optimizer that keeps this of them, by
 * slot and parameter.
 */
export const check = (
  state: TrainState,
  plan: Plan,
  parameters: ReadonlyArray<{ readonly name: string; readonly shape: ReadonlyArray<number> }>,
  optimizer: ReadonlyMap<string, Shapes>
): Effect.Effect<void, ResumeMismatch> =>
  Effect.suspend(() => {
    for (const field of ["examples", "rows", "batchSize", "totalSteps", "seed"] as const) {
      if (state.plan[field] !== plan[field]) {
        return Effect.fail(new ResumeMismatch({ field, saved: String(state.plan[field]), given: String(plan[field]) }))
      }
    }
    const shapes = new Map(parameters.map(({ name, shape }) => [name, shape]))
    for (const { name, ...difference } of differing(state.parameters, shapes)) {
      return Effect.fail(new ResumeMismatch({ field: name, ...difference }))
    }
    const slots = (of: ReadonlyMap<string, unknown>) => Array.from(of.keys()).toSorted().join(", ") || "nothing"
    if (slots(state.optimizer) !== slots(optimizer)) {
      return Effect.fail(
        new ResumeMismatch({
          field: "what its optimizer keeps:",
          saved: slots(state.optimizer),
          given: slots(optimizer)
        })
      )
    }
    for (const [slot, expected] of optimizer) {
      for (const { name, ...difference } of differing(state.optimizer.get(slot), expected)) {
        return Effect.fail(new ResumeMismatch({ field: `for the optimizer's ${slot} of ${name}`, ...difference }))
      }
    }
    return Effect.void
  })
