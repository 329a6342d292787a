/**
 * The result tables of a store: Parquet files under its `tables/`, made from
 * the records of stage runs and the outcomes of studies.
 *
 * ```
 * tables/
 *   runs.parquet                    every stage run in the store
 *   artifacts.parquet               every object they refer to
 *   study=<name>/trials.parquet     one row a trial
 *   study=<name>/metrics.parquet    one row a logged value
 *   study=<name>/predictions.parquet
 *   study=<name>/splits.parquet
 * ```
 *
 * Records are the truth. The tables may be removed at any time: the next run of
 * the pipeline, all of it cached, makes them again. A table whose source is
 * what it was is not written again, nor is anything read for it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { type PipelineEvent, Progress, type StudyOutcome } from "../pipeline/Progress.ts"
import * as Columns from "../store/Columns.ts"
import * as Digest from "../store/Digest.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"
import * as Artifacts from "./Artifacts.ts"
import * as Gather from "./Gather.ts"
import * as JsonText from "./JsonText.ts"
import * as Metrics from "./Metrics.ts"
import * as Predictions from "./Predictions.ts"
import * as ResultTable from "./ResultTable.ts"
import * as Runs from "./Runs.ts"
import * as Splits from "./Splits.ts"
import * as Trials from "./Trials.ts"
import * as Unfinished from "./Unfinished.ts"

/** Every kind of table, with its columns. */
export const all: ReadonlyArray<ResultTable.ResultTable> = [
  Trials.table,
  Metrics.table,
  Predictions.table,
  Splits.table,
  Runs.table,
  Artifacts.table
]

/** The kinds of which every study has its own. */
export const ofStudies: ReadonlyArray<string> = ["trials", "metrics", "predictions", "splits"]

/** File systems allow 255 bytes in a name; this leaves room for `study=` and the digest. */
const longestName = 180

/**
 * The folder of a study's tables, relative to `tables/`: its name in percent
 * encoding, letters, digits and `-_.` left as they are. A name too long for a
 * file system is cut and gets `~` and a digest of the whole name.
 */
export const folderOf = (study: string): string => {
  const encoded = encodeURIComponent(JsonText.wellFormed(study)).replaceAll(
    /[!'()*~]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  )
  if (encoded.length <= longestName) return `study=${encoded}`
  // Not within an escape.
  const cut = encoded.slice(0, longestName - 20).replace(/%.?$/, "")
  return `study=${cut}~${Digest.ofText(study).slice(0, 16)}`
}

/** The absolute path of a table of a study, or of one that the whole store has. */
export const pathOf = Effect.fnUntraced(
  function*(name: string, study?: string): Effect.fn.Return<string, never, Store> {
    const store = yield* Store
    return ResultTable.pathOf(store, study === undefined ? fileOf(name) : `${folderOf(study)}/${fileOf(name)}`)
  }
)

const fileOf = (table: string): string => `${table}.parquet`

/** The file of a table of a study, relative to `tables/`. */
export const fileOfStudy = (table: ResultTable.ResultTable, study: string): string =>
  `${folderOf(study)}/${fileOf(table.name)}`

const targetOf = (table: ResultTable.ResultTable, study: string, complete: boolean): ResultTable.Target => ({
  table,
  file: fileOfStudy(table, study),
  study: JsonText.wellFormed(study),
  complete
})

const writeTrials = (study: Trials.Study, complete: boolean): Effect.Effect<void, StoreError, Store> =>
  Effect.suspend(() => {
    const columns = Trials.columns(study)
    return ResultTable.publish(
      { ...targetOf(Trials.table, study.study, complete), notes: Trials.notes(study) },
      Columns.digest(columns),
      Effect.succeed(columns)
    )
  })

/**
 * Writes the tables of a study that has ended. `others` are the records of the
 * same pipeline run in which its splits are looked for.
 */
export const writeStudy = Effect.fnUntraced(function*(
  outcome: StudyOutcome,
  others: ReadonlyArray<RunRecord>
): Effect.fn.Return<void, StoreError, Store> {
  const { study, trials } = outcome
  yield* writeTrials(Trials.ofOutcome(outcome), true)
  const gathered = [
    { ...Metrics, parts: Metrics.parts(study, trials) },
    { ...Predictions, parts: Predictions.parts(study, trials) },
    { ...Splits, parts: Splits.parts(study, trials, others) }
  ]
  for (const { front, parts, table } of gathered) {
    yield* ResultTable.publish(
      targetOf(table, study, true),
      Gather.source(parts),
      Gather.columns(table, front, parts)
    )
  }
})

/** Milliseconds between two writes of the `trials` table of a running study. */
const rewriteEvery = 2_000

/** Receives the events of a pipeline run. */
export interface Recorder {
  (event: PipelineEvent): Effect.Effect<void>
  /** Fails with the first error that kept a table of a study from being written. */
  readonly check: Effect.Effect<void, StoreError>
}

interface Running {
  readonly study: Unfinished.Unfinished
  /** Milliseconds, on the clock. */
  written: number
  /** Has changed since it was written. */
  stale: boolean
  /** A fiber will write it. */
  scheduled: boolean
}

/**
 * A listener for one pipeline run that keeps the tables of its studies: those
 * of a study that has ended before anything downstream of it runs, and, while a
 * study runs, a table of the trials so far, rewritten every two seconds at most
 * and once more when the scope closes.
 *
 * As long as a run only repeats what is cached, the tables of an earlier run
 * stay as they are until the study has ended.
 */
export const recorder: Effect.Effect<Recorder, never, Store | Scope.Scope> = Effect.gen(function*() {
  const store = yield* Store
  const scope = yield* Effect.scope
  const oneAtATime = yield* Semaphore.make(1)
  const running = new Map<string, Running>()
  const ended = new Set<string>()
  const keys = new Set<string>()
  let failure: StoreError | undefined
  // Whether any stage was run, not only answered from the store.
  let working = false

  const guarded = (study: string, effect: Effect.Effect<void, StoreError, Store>): Effect.Effect<void> =>
    oneAtATime.withPermits(1)(effect).pipe(
      Effect.provideService(Store, store),
      Effect.catch((error) => {
        failure ??= error
        return Effect.logWarning(`The tables of the study "${study}" could not be written: ${error.message}`)
      })
    )

  const flush = (name: string, state: Running) =>
    guarded(
      name,
      Effect.gen(function*() {
        if (running.get(name) !== state || !state.stale) return
        state.stale = false
        state.written = yield* Clock.currentTimeMillis
        yield* writeTrials(Unfinished.toStudy(state.study), false)
      })
    )

  const schedule = Effect.fnUntraced(function*(name: string, state: Running) {
    if (!working || state.scheduled) return
    state.scheduled = true
    const wait = state.written + rewriteEvery - (yield* Clock.currentTimeMillis)
    yield* Effect.sleep(Math.max(0, wait)).pipe(
      Effect.andThen(Effect.suspend(() => {
        state.scheduled = false
        return flush(name, state)
      })),
      Effect.forkIn(scope)
    )
  })

  /** The records of the stage runs of this pipeline run that are not among those of the trials. */
  const recordsBeside = Effect.fnUntraced(function*(outcome: StudyOutcome) {
    const known = new Set(outcome.trials.flatMap(({ runs }) => runs.map(({ key }) => key)))
    const found: Array<RunRecord> = []
    for (const key of [...keys].toSorted()) {
      const record = known.has(key) ? undefined : yield* store.getRun(key)
      if (record !== undefined) found.push(record)
    }
    return found
  })

  const listen = Effect.fnUntraced(function*(event: PipelineEvent): Effect.fn.Return<void> {
    switch (event._tag) {
      case "stage.completed":
        working = true
        keys.add(event.key)
        return
      case "stage.cached":
        keys.add(event.key)
        return
      case "study.started":
        running.set(event.study, { study: Unfinished.make(event), written: 0, stale: false, scheduled: false })
        return
      case "trial.started":
      case "trial.completed":
      case "trial.failed": {
        const state = running.get(event.study)
        if (state === undefined) return
        Unfinished.tell(state.study, event)
        if (event._tag === "trial.started") return
        state.stale = true
        return yield* schedule(event.study, state)
      }
      case "study.completed": {
        const { outcome, study } = event
        running.delete(study)
        if (ended.has(study)) {
          yield* Effect.logWarning(
            `Two studies of this run are named ${JSON.stringify(study)}: the tables keep the one that ended last. `
              + "Give each study a name of its own."
          )
        }
        ended.add(study)
        return yield* guarded(
          study,
          Effect.flatMap(recordsBeside(outcome), (records) => writeStudy(outcome, records))
        )
      }
    }
  })

  yield* Scope.addFinalizer(
    scope,
    Effect.suspend(() =>
      Effect.forEach(
        working ? [...running] : [],
        ([name, state]) => flush(name, state),
        { discard: true }
      )
    )
  )
  return Object.assign(listen, {
    check: Effect.suspend(() => failure === undefined ? Effect.void : Effect.fail(failure))
  })
})

/** Writes the tables of the whole store: to be run when a pipeline run is over, however it ended. */
export const finish: Effect.Effect<void, StoreError, Store> = Effect.gen(function*() {
  const store = yield* Store
  const records = yield* store.runs
  const runs = Runs.columns(records)
  const artifacts = yield* Artifacts.columns(records)
  for (const [table, columns] of [[Runs.table, runs], [Artifacts.table, artifacts]] as const) {
    yield* ResultTable.publish(
      { table, file: fileOf(table.name) },
      Columns.digest(columns),
      Effect.succeed(columns)
    )
  }
})

/**
 * An effect that runs pipelines, with the result tables of the store kept up to
 * date meanwhile and however it ends. Whoever listens to `Progress` goes on to.
 */
export const recorded = <A, E, R>(run: Effect.Effect<A, E, R>): Effect.Effect<A, E | StoreError, R | Store> =>
  Effect.scoped(Effect.gen(function*() {
    const record = yield* recorder
    const listen = yield* Progress
    const value = yield* run.pipe(
      Effect.provideService(Progress, (event) => Effect.andThen(listen(event), record(event)))
    )
    yield* record.check
    yield* finish
    return value
  })).pipe(
    // The first failure is the one to report, not that the tables could not be written either.
    Effect.onError(() => Effect.ignore(finish))
  )
