/**
 * Runs stages in this process, as many at a time as their resources allow.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { StageUnavailable } from "../pipeline/Errors.ts"
import * as Execution from "../pipeline/Execution.ts"
import { Executor } from "../pipeline/Executor.ts"
import { Backend, type BackendUnavailable } from "../tensor/Backend.ts"
import * as Slots from "./Slots.ts"

export interface Options extends Partial<Slots.Capacity> {
  /** The backend for stages that compute with tensors; started when the first of them asks. */
  readonly backend?: Layer.Layer<Backend, BackendUnavailable>
}

/**
 * An executor in this process. By default one CPU slot, no GPU device and
 * memory without limit; a stage that computes holds up everything else here.
 */
export const layer = (options: Options = {}): Layer.Layer<Executor> =>
  Layer.effect(
    Executor,
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const slots = Slots.make({
        cpu: options.cpu ?? 1,
        gpu: options.gpu ?? 0,
        perDevice: options.perDevice ?? 1,
        memory: options.memory ?? Infinity
      })
      const unavailable = (detail: string) =>
        new StageUnavailable({ stage: "a stage that computes with tensors", detail })
      const { backend } = options
      const backendContext = yield* Effect.cached(
        backend === undefined
          ? Effect.fail(unavailable("this executor was given no backend"))
          : Layer.buildWithScope(backend, scope).pipe(Effect.mapError((error) => unavailable(error.message)))
      )
      return Executor.of({
        name: "in process",
        runtime: Effect.map(backendContext, (context) => {
          const { determinism, name, version } = Context.get(context, Backend)
          return { backend: name, version, determinism }
        }),
        execute: (job) =>
          slots.withResources(job)(() =>
            Effect.andThen(
              job.started,
              job.stage.resources.tensors === true
                ? Effect.flatMap(backendContext, (context) => Effect.provideContext(Execution.run(job), context))
                : Execution.run(job)
            )
          )
      })
    })
  )
