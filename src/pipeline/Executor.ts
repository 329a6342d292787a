import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Runtime } from "../store/RunRecord.ts"
import type { StoreError } from "../store/StoreError.ts"
import type { ResourcesUnavailable, StageDefect, StageUnavailable, Taken, WorkerDied } from "./Errors.ts"
import type { Completed, Job } from "./Execution.ts"

/**
 * Where stage runs happen: in this process, in worker processes of this
 * machine, on a cluster. It waits until the declared resources are free, runs
 * the job there and returns what came out.
 */
export class Executor extends Context.Service<Executor, {
  readonly name: string
  /** What stages that compute with tensors compute with here; part of their key. Asked for only when there is one. */
  readonly runtime: Effect.Effect<Runtime, StageUnavailable>
  readonly execute: (
    job: Job
  ) => Effect.Effect<
    Completed,
    StoreError | StageDefect | WorkerDied | ResourcesUnavailable | StageUnavailable | Taken,
    any
  >
}>()("attune/pipeline/Executor") {}
