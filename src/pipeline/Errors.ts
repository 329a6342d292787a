/**
 * What can go wrong in a run besides the errors that stages declare.
 */
import * as Schema from "effect/Schema"
import { StoreError } from "../store/StoreError.ts"

/** A stage was given a parameter its schema refuses. */
export class InvalidParams extends Schema.TaggedError<InvalidParams>()("InvalidParams", {
  stage: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The stage "${this.stage}" refuses its parameters: ${this.detail}`
  }
}

/** A stage was wired with an input or a parameter that it does not have, or without an input that it needs. */
export class InvalidWiring extends Schema.TaggedError<InvalidWiring>()("InvalidWiring", {
  stage: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The stage "${this.stage}" ${this.detail}`
  }
}

/** A stage threw something that is not among its declared errors, or gave an output its schema refuses. */
export class StageDefect extends Schema.TaggedError<StageDefect>()("StageDefect", {
  stage: Schema.String,
  detail: Schema.String,
  stack: Schema.String
}) {
  override get message(): string {
    return `The stage "${this.stage}" broke: ${this.detail}`
  }
}

/** A stage took longer than its `timeout`. */
export class StageTimeout extends Schema.TaggedError<StageTimeout>()("StageTimeout", {
  stage: Schema.String,
  millis: Schema.Finite
}) {
  override get message(): string {
    return `The stage "${this.stage}" did not end within its timeout of ${this.millis / 1000} s`
  }
}

/** The process that ran a stage ended before the stage did. */
export class WorkerDied extends Schema.TaggedError<WorkerDied>()("WorkerDied", {
  stage: Schema.String,
  /** Exit code or signal, and the last lines the process wrote. */
  detail: Schema.String
}) {
  override get message(): string {
    return `The worker process died while it ran the stage "${this.stage}": ${this.detail}`
  }
}

/**
 * A job need not be run here: another process has its key, or has answered it in
 * the meantime. It is waited for, so nobody else sees this.
 */
export class Taken extends Schema.TaggedError<Taken>()("Taken", { key: Schema.String }) {}

/** A stage asks for more than the machine was said to have. */
export class ResourcesUnavailable extends Schema.TaggedError<ResourcesUnavailable>()("ResourcesUnavailable", {
  stage: Schema.String,
  resource: Schema.String,
  requested: Schema.Finite,
  available: Schema.Finite
}) {
  override get message(): string {
    return `The stage "${this.stage}" declares ${this.requested} ${this.resource}, and this run has ${this.available}`
  }
}

/** A stage could not be prepared: its code cannot be read, or another process cannot find it. */
export class StageUnavailable extends Schema.TaggedError<StageUnavailable>()("StageUnavailable", {
  stage: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The stage "${this.stage}" cannot be run: ${this.detail}`
  }
}

/** In a plan: what this depends on would have to run first. */
export class NotPlanned extends Schema.TaggedError<NotPlanned>()("NotPlanned", {
  /** The stage that would run. */
  until: Schema.String
}) {
  override get message(): string {
    return `Unknown until "${this.until}" has run`
  }
}

/** What may end one attempt at a stage and not the next, besides its own errors. */
export type AttemptError = StageDefect | StageTimeout | WorkerDied

export type RunError =
  | InvalidParams
  | StageDefect
  | StageTimeout
  | WorkerDied
  | ResourcesUnavailable
  | StageUnavailable
  | StoreError

/**
 * Whether an error says something about the whole run rather than about the
 * trial in which it came up. Such an error ends a study; any other is a row of it.
 */
export const endsTheRun = (error: unknown): boolean =>
  error instanceof StoreError || error instanceof NotPlanned || error instanceof ResourcesUnavailable
  || error instanceof StageUnavailable

/** The sentence to show for any failure. */
export const describe = (error: unknown): string => {
  if (typeof error === "object" && error !== null && "message" in error && typeof error.message === "string") {
    if (error.message !== "") return error.message
    if ("_tag" in error) return `${String(error._tag)} ${JSON.stringify(error)}`
  }
  return typeof error === "string" ? error : JSON.stringify(error) ?? String(error)
}
