/**
 * Runs a node: each stage answered from the store, or executed and stored.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Artifact from "../store/Artifact.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"
import * as Codec from "./Codec.ts"
import type { Definition } from "./Definition.ts"
import { describe, endsTheRun, type RunError, StageTimeout, Taken } from "./Errors.ts"
import type { Completed } from "./Execution.ts"
import { Executor } from "./Executor.ts"
import * as GraphRun from "./GraphRun.ts"
import { host, versions } from "./Host.ts"
import * as Invocation from "./Invocation.ts"
import type * as Node from "./Node.ts"
import { Progress } from "./Progress.ts"

/**
 * Runs a node and everything it depends on.
 *
 * A stage whose key has run before is read from the store. An upstream change
 * that leaves the content of an output alone reruns nothing downstream.
 * Interrupting the effect stops what is running; what has ended is kept.
 */
export const run: <A, E, R>(
  node: Node.Node<A, E, R>
) => Effect.Effect<A, E | RunError, R | Store | Executor> = Effect.fn("Pipeline.run")(
  function*(node: Node.Any): Effect.fn.Return<any, any, any> {
    yield* Invocation.checkParams(node)
    const graph = yield* GraphRun.make(yield* makeInvoke)
    return (yield* graph.run(node, "")).value
  },
  Effect.scoped
)

/** Between two looks at what another process runs: doubled each time. All in milliseconds. */
const shortestPause = 20
const longestPause = 1_000

/** Answers the call of a stage from the store, or runs it and stores what came out. */
const makeInvoke = Effect.gen(function*() {
  const store = yield* Store
  const executor = yield* Executor
  const emit = yield* Progress
  const context = yield* Effect.context<any>()
  // Two nodes with one key, at the same moment: the second waits for the first.
  const inFlight = new Map<string, Deferred.Deferred<RunRecord, unknown>>()

  const execute = Effect.fnUntraced(function*(
    { components, inputs, key, stage }: Invocation.Invocation,
    { owner, priority }: GraphRun.Call
  ): Effect.fn.Return<RunRecord, RunError | StoreError | Taken, any> {
    const about = { stage: stage.name, key, owner }
    const scope = yield* Effect.scope
    let claimed = false
    // Only when the job has its resources, so that processes on one store share what waits: each takes what nobody runs.
    const claim = Effect.gen(function*() {
      if (claimed) return
      claimed = yield* store.claim(key).pipe(Effect.provideService(Scope.Scope, scope))
      // Another process may have answered it since we looked.
      if (!claimed || (yield* Invocation.lookup(key)) !== undefined) return yield* new Taken({ key })
    }).pipe(Effect.provideService(Store, store))
    let attempts = 0
    const attempt = Effect.suspend(() => {
      attempts++
      const begun = Deferred.makeUnsafe<void>()
      return timed(
        stage,
        Deferred.await(begun),
        executor.execute({
          stage,
          key,
          owner,
          inputs,
          params: components.params,
          priority,
          started: claim.pipe(
            Effect.andThen(Deferred.succeed(begun, undefined)),
            Effect.andThen(emit({ _tag: "stage.started", ...about }))
          ),
          onProgress: (progress) =>
            void Effect.runForkWith(context)(emit({ _tag: "stage.progress", ...about, progress }))
        })
      )
    })
    const completed = yield* retried(
      stage,
      attempt,
      (message) => emit({ _tag: "stage.retried", ...about, attempt: attempts, message })
    )
    const { durationMillis, metrics, outcome, started, worker } = completed
    const record: RunRecord = {
      format: 1,
      key,
      stage: stage.name,
      fingerprint: components.fingerprint,
      params: components.params,
      inputs: components.inputs,
      runtime: components.runtime,
      outcome: outcome._tag === "success" ? { ...outcome, digest: Artifact.digestOf(outcome.output) } : outcome,
      artifacts: outcome._tag === "success" ? Artifact.references(outcome.output) : [],
      metrics,
      started,
      durationMillis,
      attempts,
      worker,
      host,
      versions
    }
    if (outcome._tag === "failure") {
      const error = yield* Codec.decode(stage.error, outcome.error).pipe(Effect.orDie)
      yield* emit({ _tag: "stage.failed", ...about, message: describe(error) })
      return stage.keepFailure(error) ? yield* store.putRun(record) : record
    }
    const kept = yield* store.putRun(record)
    yield* emit({ _tag: "stage.completed", ...about, durationMillis })
    return kept
  }, (effect, { key, stage }, { owner }) =>
    // The key is held until its record is there.
    Effect.scoped(effect).pipe(
      Effect.tapError((error) =>
        error instanceof Taken
          ? Effect.void
          : emit({ _tag: "stage.failed", stage: stage.name, key, owner, message: describe(error) })
      )
    ))

  /** Runs a stage, or waits until the process that runs it has done so. */
  const executeOrWait = Effect.fnUntraced(function*(invocation: Invocation.Invocation, call: GraphRun.Call) {
    for (let pause = shortestPause;; pause = Math.min(2 * pause, longestPause)) {
      const record = yield* execute(invocation, call).pipe(Effect.catchTag("Taken", () => Effect.succeed(undefined)))
      if (record !== undefined) return { record, ran: true }
      const found = yield* Invocation.lookup(invocation.key)
      if (found !== undefined) return { record: found, ran: false }
      yield* Effect.sleep(pause)
    }
  })

  return Effect.fnUntraced(function*(call: GraphRun.Call): Effect.fn.Return<GraphRun.Computed, unknown, any> {
    const { node, inputs, owner } = call
    const invocation = yield* Invocation.of(node, inputs)
    const { key, stage } = invocation
    const answer = (record: RunRecord) => {
      call.onRecord(record)
      return Invocation.answer(stage, record)
    }
    const cached = (record: RunRecord) =>
      Effect.andThen(emit({ _tag: "stage.cached", stage: stage.name, key, owner }), answer(record))
    const hit = yield* Invocation.lookup(key)
    if (hit !== undefined) return yield* cached(hit)
    const running = inFlight.get(key)
    if (running !== undefined) return yield* Effect.flatMap(Deferred.await(running), cached)
    const result = Deferred.makeUnsafe<RunRecord, unknown>()
    inFlight.set(key, result)
    const exit = yield* Effect.exit(executeOrWait(invocation, call))
    inFlight.delete(key)
    Deferred.doneUnsafe(result, Exit.map(exit, ({ record }) => record))
    const { ran, record } = yield* exit
    return yield* ran ? answer(record) : cached(record)
  })
})

/** Ends a stage that takes longer than its timeout, counted from when it begins. */
const timed = <A, E, R>(
  stage: Definition,
  begun: Effect.Effect<void>,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | StageTimeout, R> => {
  const { timeout } = stage
  if (timeout === undefined) return effect
  const late = new StageTimeout({ stage: stage.name, millis: Duration.toMillis(timeout) })
  return Effect.raceFirst(
    effect,
    begun.pipe(Effect.andThen(Effect.sleep(timeout)), Effect.andThen(Effect.fail(late)))
  )
}

/** Repeats failed attempts as the stage asks; a failure among its declared errors counts like any other. */
const retried = <E, R>(
  stage: Definition,
  attempt: Effect.Effect<Completed, E, R>,
  onRetry: (message: string) => Effect.Effect<void>
): Effect.Effect<Completed, E, R> => {
  const { retry } = stage
  if (retry === undefined) return attempt
  const loop = (remaining: number, delay: Duration.Duration): Effect.Effect<Completed, E, R> =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(attempt)
      const error = yield* failureOf(stage, exit)
      if (error === undefined || remaining === 0 || endsTheRun(error.value) || error.value instanceof Taken) {
        return yield* exit
      }
      if (retry.while !== undefined && !retry.while(error.value)) return yield* exit
      yield* onRetry(describe(error.value))
      yield* Effect.sleep(delay)
      return yield* loop(remaining - 1, Duration.times(delay, 2))
    })
  return loop(retry.times, Duration.fromInputUnsafe(retry.delay ?? 0))
}

/** The error an attempt ended with: declared by the stage, or of its execution. */
const failureOf = <E>(
  stage: Definition,
  exit: Exit.Exit<Completed, E>
): Effect.Effect<{ readonly value: any } | undefined> => {
  if (Exit.isFailure(exit)) {
    const error = Exit.findErrorOption(exit)
    return Effect.succeed(error._tag === "Some" ? { value: error.value } : undefined)
  }
  const { outcome } = exit.value
  return outcome._tag === "success"
    ? Effect.succeed(undefined)
    : Codec.decode(stage.error, outcome.error).pipe(Effect.orDie, Effect.map((value) => ({ value })))
}
