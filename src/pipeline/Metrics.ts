/**
 * Metrics that a stage reports while it runs, such as the loss of each step.
 *
 * They go to an append-only log at once and become one Parquet table when the
 * stage ends. What was logged survives the death of the process.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Artifact from "../store/Artifact.ts"
import type { Appender } from "../store/Disk.ts"
import type { ObjectReference } from "../store/RunRecord.ts"
import { Store } from "../store/Store.ts"
import { fromCause, type StoreError } from "../store/StoreError.ts"

/** One value of one metric. */
export const MetricRow = Schema.Struct({
  /** Optimizer step, from 1. */
  step: Schema.Int,
  /** Which data it was measured on: "train", "validation", "test". */
  split: Schema.String,
  name: Schema.String,
  value: Schema.Number,
  /** Wall clock since the stage started, in seconds: the one column that differs between equal runs. */
  seconds: Schema.Finite
})
export type MetricRow = typeof MetricRow.Type

export interface Entry {
  readonly step: number
  /** The last step there will be, where it is known: for the progress line. */
  readonly steps?: number
  readonly split: string
  /** By name. With none the entry is progress and nothing else. */
  readonly values: Readonly<Record<string, number>>
}

/** Where a running stage reports its metrics. Outside a run they go nowhere. */
export const MetricLog = Context.Reference<{ readonly log: (entry: Entry) => void }>("attune/pipeline/MetricLog", {
  defaultValue: () => ({ log: () => {} })
})

/** Milliseconds between two reports of the progress of a stage, and between two syncs of its log. */
const reportEvery = 200
const syncEvery = 1_000

/**
 * The last values of each split as one line of progress: the first of every split, then the others. What was not measured
 * on training data says so, since a loss may be of either.
 */
const together = (latest: ReadonlyMap<string, Entry["values"]>): Entry["values"] => {
  const named = Array.from(
    latest,
    ([split, values]) =>
      Object.entries(values).map(([name, value]) => [split === "train" ? name : `${split} ${name}`, value] as const)
  )
  return Object.fromEntries([...named.flatMap((all) => all.slice(0, 1)), ...named.flatMap((all) => all.slice(1))])
}

/** A log for one stage run, and the way to seal it. */
export const open = Effect.fnUntraced(function*(
  key: string,
  onProgress: (entry: Entry) => void
): Effect.fn.Return<
  {
    readonly log: (entry: Entry) => void
    readonly seal: Effect.Effect<ObjectReference | null, StoreError, Store>
    readonly abandon: Effect.Effect<void, StoreError>
  },
  never,
  Store
> {
  const store = yield* Store
  const started = performance.now()
  const rows: Array<MetricRow> = []
  const latest = new Map<string, Entry["values"]>()
  let appender: (Appender & { readonly path: string }) | undefined
  let failure: StoreError | undefined
  let reported = -Infinity
  let synced = started

  // The log is opened at the first entry: most stages report nothing.
  const write = (lines: string) => {
    if (failure !== undefined) return
    try {
      appender ??= Effect.runSync(store.openLog(key))
      appender.append(lines)
      if (performance.now() - synced > syncEvery) {
        appender.sync()
        synced = performance.now()
      }
    } catch (cause) {
      failure = fromCause("write a log of metrics", appender?.path ?? key)(cause)
    }
  }

  const close = Effect.sync(() => {
    appender?.close()
    appender = undefined
  })

  return {
    log: (entry) => {
      const seconds = Math.round(performance.now() - started) / 1000
      let lines = ""
      for (const [name, value] of Object.entries(entry.values)) {
        rows.push({ step: entry.step, split: entry.split, name, value, seconds })
        const text = Number.isFinite(value) ? value : String(value)
        lines += `${JSON.stringify({ step: entry.step, split: entry.split, name, value: text, seconds })}\n`
      }
      if (lines !== "") write(lines)
      latest.set(entry.split, entry.values)
      if (performance.now() - reported > reportEvery) {
        reported = performance.now()
        onProgress({ ...entry, values: together(latest) })
      }
    },
    seal: Effect.gen(function*() {
      const logged = appender !== undefined || failure !== undefined
      yield* close
      if (failure !== undefined) return yield* failure
      if (!logged) return null
      const table = yield* Artifact.writeTable("metrics", MetricRow, rows)
      yield* store.removeLog(key)
      return Artifact.references(table as unknown as Schema.Json)[0]!
    }),
    abandon: close
  }
})
