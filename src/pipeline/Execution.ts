/**
 * One run of one stage in this process: decode the inputs, run the effect with
 * a metric log, encode what came out. Executors call it, here or in a worker.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type { ObjectReference } from "../store/RunRecord.ts"
import type { Store } from "../store/Store.ts"
import { StoreError } from "../store/StoreError.ts"
import * as Codec from "./Codec.ts"
import type { Definition } from "./Definition.ts"
import { describe, StageDefect, type Taken } from "./Errors.ts"
import * as Metrics from "./Metrics.ts"
import type { StageProgress } from "./Progress.ts"

export interface Job {
  readonly stage: Definition
  readonly key: string
  /** On whose behalf, as in `"trial 3"`. */
  readonly owner: string
  /** Encoded values, by input name. */
  readonly inputs: Readonly<Record<string, Schema.Json>>
  readonly params: Schema.Json
  /** Of jobs that wait for the same resources, one of a higher priority goes first. */
  readonly priority: number
  /** To be run by the executor when the job has its resources, before it begins; where it fails, the job is given up. */
  readonly started: Effect.Effect<void, Taken | StoreError>
  readonly onProgress: (progress: StageProgress) => void
}

/** What a process needs of a job to run it. */
export type Work = Pick<Job, "stage" | "key" | "owner" | "inputs" | "params" | "onProgress">

/** What a stage run ended with: its output or its declared error, both encoded, and its metrics. */
export interface Completed {
  readonly outcome:
    | { readonly _tag: "success"; readonly output: Schema.Json }
    | { readonly _tag: "failure"; readonly error: Schema.Json }
  readonly metrics: ObjectReference | null
  /** When it began, in ISO 8601, UTC, and how long it took: without waiting for resources. */
  readonly started: string
  readonly durationMillis: number
  /** Names the process it ran in. */
  readonly worker: string
}

export const run = Effect.fnUntraced(function*(
  job: Work
): Effect.fn.Return<Completed, StoreError | StageDefect, Store | any> {
  const { stage } = job
  const started = new Date().toISOString()
  const before = performance.now()
  const facts = () => ({
    started,
    durationMillis: Math.round(performance.now() - before),
    worker: `process ${process.pid}`
  })
  const refused = (what: string) => (error: Schema.SchemaError) =>
    new StageDefect({ stage: stage.name, detail: `${what}: ${error.message}`, stack: "" })
  const inputs = yield* Codec.decode(stage.inputs, job.inputs).pipe(
    Effect.mapError(refused("an input does not decode"))
  )
  const params = yield* Codec.decode(stage.params, job.params).pipe(
    Effect.mapError(refused("its parameters do not decode"))
  )
  const metrics = yield* Metrics.open(
    job.key,
    (entry) => job.onProgress({ step: entry.step, steps: entry.steps, values: entry.values })
  )
  const exit = yield* stage.run(inputs, params).pipe(
    Effect.provideService(Metrics.MetricLog, { log: metrics.log }),
    Effect.withSpan(`stage ${stage.name}`, { attributes: { key: job.key, owner: job.owner } }),
    Effect.onInterrupt(() => Effect.ignore(metrics.abandon)),
    Effect.exit
  )
  if (Exit.isSuccess(exit)) {
    const output = yield* Codec.encode(stage.output, exit.value).pipe(
      Effect.mapError(refused("its output does not fit its schema"))
    )
    return { outcome: { _tag: "success", output }, metrics: yield* metrics.seal, ...facts() }
  }
  const { cause } = exit
  const failure = Cause.findErrorOption(cause)
  if (Option.isNone(failure)) {
    yield* metrics.abandon
    if (Cause.hasInterruptsOnly(cause)) return yield* Effect.interrupt
    return yield* defect(stage, Cause.squash(cause))
  }
  if (failure.value instanceof StoreError) {
    yield* metrics.abandon
    return yield* failure.value
  }
  const error = yield* Codec.encode(stage.error, failure.value).pipe(
    Effect.catch(() => Effect.andThen(metrics.abandon, Effect.fail(defect(stage, failure.value))))
  )
  return { outcome: { _tag: "failure", error }, metrics: yield* metrics.seal, ...facts() }
})

const defect = (stage: Definition, thrown: unknown) =>
  new StageDefect({
    stage: stage.name,
    detail: describe(thrown),
    stack: thrown instanceof Error ? thrown.stack ?? "" : ""
  })
