/**
 * A stage as the machinery sees it: without its types, which only matter while
 * it is wired.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { AttemptError } from "./Errors.ts"

/** What a stage needs while it runs. Nodes run at the same time as long as their sum fits. */
export interface Resources {
  /** CPU slots; 1 by default. */
  readonly cpu?: number
  /** GPU devices; 0 by default. */
  readonly gpu?: number
  /** Bytes of memory set aside; 0 by default. */
  readonly memory?: number
  /**
   * Computes with tensors: the stage runs in a worker process of its own with
   * the backend that was asked for, and the backend is part of its key.
   */
  readonly tensors?: boolean
}

/** When a failed attempt is repeated. */
export interface Retry<E> {
  /** How many further attempts, at most. */
  readonly times: number
  /** Pause before the first further attempt, doubled before each next; none by default. */
  readonly delay?: Duration.Input
  /** Which errors are worth it, of the stage's own and of its execution; by default all. */
  readonly while?: (error: E | AttemptError) => boolean
}

/** A stage without its types, as the machinery sees it. */
export interface Definition {
  readonly name: string
  readonly version: string | undefined
  readonly inputs: Schema.Struct<any>
  readonly params: Schema.Struct<any>
  readonly output: Schema.Codec<any, any>
  readonly error: Schema.Codec<any, any>
  readonly resources: Resources
  readonly retry: Retry<any> | undefined
  readonly timeout: Duration.Input | undefined
  readonly keepFailure: (error: any) => boolean
  /** The module that defined the stage, for its fingerprint; `undefined` where it cannot be told. */
  readonly site: Site | undefined
  readonly run: (inputs: any, params: any) => Effect.Effect<any, any, any>
}

export interface Site {
  readonly file: string
  readonly line: number
}
