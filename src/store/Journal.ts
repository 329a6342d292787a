/**
 * The journal of a pipeline run: which pipeline, with which settings, and the
 * keys of all stage runs that it used, be they run or taken from the store.
 *
 * ```
 * journals/<id>.jsonl   while it runs: what it is, then a line for each key
 * journals/<id>.json    once it has ended; the keys are an object of the store
 * ```
 *
 * Journals tell garbage collection what is still wanted. The log of a run that
 * was killed stays, so that nothing is removed which it would resume from. A
 * store that cannot be written to has none: that alone fails no run.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Appender } from "./Disk.ts"
import * as Presence from "./Presence.ts"
import * as Sealed from "./Sealed.ts"
import { Store } from "./Store.ts"
import { fromCause, type StoreError } from "./StoreError.ts"

const Address = Schema.Struct({ sha256: Schema.String, bytes: Schema.Int, extension: Schema.String })

export const Journal = Schema.Struct({
  format: Schema.Literal(1),
  /** Sorts by the time of the start. */
  id: Schema.String,
  /** The file of the pipeline, relative to the folder that the store lies in where it can be; or the name of its node. */
  pipeline: Schema.String,
  settings: Schema.Json,
  /** Times of day in ISO 8601, UTC. */
  started: Schema.String,
  ended: Schema.NullOr(Schema.String),
  /** `running` in the log of a run that was killed as well. */
  outcome: Schema.Literals(["running", "done", "failed", "interrupted"]),
  host: Schema.String,
  pid: Schema.Int,
  versions: Schema.Record(Schema.String, Schema.String),
  studies: Schema.Array(Schema.String),
  /** The object with the keys, sorted, one a line; `null` in a log. */
  keys: Schema.NullOr(Address)
})
export type Journal = typeof Journal.Type

/** What is being run, as the journal is to name it. */
export const Subject = Context.Reference<{ readonly pipeline: string; readonly settings: Schema.Json } | undefined>(
  "attune/store/Journal/Subject",
  { defaultValue: () => undefined }
)

export interface Writer {
  /** Notes a key that the run used. */
  readonly used: (key: string, ran: boolean) => void
  readonly study: (name: string) => void
  readonly end: (outcome: "done" | "failed" | "interrupted") => Effect.Effect<void>
}

type About = Pick<Journal, "pipeline" | "settings" | "host" | "versions">

const folder = "journals"
const logOf = (id: string) => `${folder}/${id}.jsonl`
const fileOf = (id: string) => `${folder}/${id}.json`

let opened = 0

/** Begins a journal and says that the store is in use, until the scope closes. */
export const open = Effect.fnUntraced(
  function*(about: About): Effect.fn.Return<Writer, StoreError, Store | Scope.Scope> {
    const store = yield* Store
    const { disk } = store
    const started = new Date().toISOString()
    const id = `${started.replaceAll(/[:.]/g, "-")}-${process.pid}-${opened++}`
    const begun: Journal = {
      format: 1,
      id,
      ...about,
      started,
      ended: null,
      outcome: "running",
      pid: process.pid,
      studies: [],
      keys: null
    }
    yield* Presence.enter(disk, id).pipe(Effect.catchIf(isUnwritable, () => Effect.void))

    const keys = new Set<string>()
    const studies = new Set<string>()
    let pending = ""
    let log: Appender | undefined
    let ran = false
    let broken = false
    // A journal that cannot be written ends no run: what the run itself writes will tell.
    const quietly = (body: () => void) => {
      if (broken) return
      try {
        body()
      } catch {
        broken = true
      }
    }
    const flush = () =>
      quietly(() => {
        if (log === undefined) {
          log = disk.appender(logOf(id))
          log.append(`${JSON.stringify({ ...begun, studies: [...studies] })}\n`)
        }
        log.append(pending)
        pending = ""
      })
    yield* Effect.addFinalizer(() => Effect.sync(() => quietly(() => log?.close())))

    return {
      used: (key, didRun) => {
        if (!keys.has(key)) {
          keys.add(key)
          pending += `${JSON.stringify({ key })}\n`
        }
        // What came from the store is safe until something is added to it.
        if (didRun) {
          ran = true
          flush()
        }
      },
      study: (name) => {
        if (studies.has(name)) return
        studies.add(name)
        pending += `${JSON.stringify({ study: name })}\n`
      },
      end: Effect.fnUntraced(function*(outcome) {
        const text = [...keys].toSorted().map((key) => `${key}\n`).join("")
        const earlier = ran ? [] : yield* ended
        const address = yield* store.putObject(Buffer.from(text), "keys")
        const journal: Journal = {
          ...begun,
          ended: new Date().toISOString(),
          outcome,
          studies: [...studies],
          keys: address
        }
        yield* Effect.try({
          try: () => {
            disk.write(fileOf(id), Sealed.seal("journal", journal))
            log?.close()
            log = undefined
            disk.remove(logOf(id))
            // A run that found everything as the one before it had left it takes its place.
            for (const other of earlier) if (isRepeatedBy(journal, other)) disk.remove(fileOf(other.id))
          },
          catch: fromCause("write a journal", `${disk.root}/${fileOf(id)}`)
        })
      }, (effect) => Effect.ignore(effect.pipe(Effect.provideService(Store, store))))
    }
  }
)

const isUnwritable = ({ reason }: StoreError): boolean =>
  reason === "read-only" || reason === "permission" || reason === "full"

const isRepeatedBy = (now: Journal, other: Journal): boolean =>
  other.outcome === "done" && now.outcome === "done" && other.pipeline === now.pipeline
  && other.keys?.sha256 === now.keys?.sha256 && JSON.stringify(other.settings) === JSON.stringify(now.settings)

const decode = Schema.decodeUnknownOption(Journal)
const namesOf = (files: ReadonlyArray<string>, ending: string): ReadonlyArray<string> =>
  files.filter((file) => file.endsWith(ending)).map((file) => file.slice(folder.length + 1, -ending.length))

/** The journals of runs that have ended, in the order of their starts. */
const ended: Effect.Effect<ReadonlyArray<Journal>, StoreError, Store> = Effect.gen(function*() {
  const { disk } = yield* Store
  return yield* Effect.try({
    try: () =>
      namesOf(disk.list(folder), ".json").flatMap((id) => {
        const bytes = disk.read(fileOf(id))
        const found = bytes === undefined ? Option.none() : decode(Sealed.unseal("journal", bytes))
        return Option.isSome(found) ? [found.value] : []
      }),
    catch: fromCause("read its journals", `${disk.root}/${folder}`)
  })
})

export interface Entry {
  readonly journal: Journal
  readonly keys: ReadonlySet<string>
  /** Whether the run goes on. */
  readonly live: boolean
}

/** Of a log: what is whole in it, since its last line may not be. */
const parseLog = (text: string): Omit<Entry, "live"> | undefined => {
  const lines = text.split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line) as unknown]
    } catch {
      return []
    }
  })
  const journal = decode(lines[0])
  if (Option.isNone(journal)) return undefined
  const fields = <K extends string>(name: K) =>
    lines.slice(1).flatMap((line) => {
      const value = (line as Partial<Record<K, unknown>> | null)?.[name]
      return typeof value === "string" ? [value] : []
    })
  return {
    journal: { ...journal.value, studies: [...new Set([...journal.value.studies, ...fields("study")])] },
    keys: new Set(fields("key"))
  }
}

/** All journals, in the order of the starts of their runs. One that is damaged is left out. */
export const all: Effect.Effect<ReadonlyArray<Entry>, StoreError, Store> = Effect.gen(function*() {
  const store = yield* Store
  const { disk } = store
  const sealed = yield* Effect.forEach(yield* ended, (journal) =>
    Effect.gen(function*() {
      const bytes = journal.keys === null ? new Uint8Array() : yield* store.getObject(journal.keys)
      const keys = Buffer.from(bytes).toString("utf8").split("\n").filter((key) => key !== "")
      return [{ journal, keys: new Set(keys), live: false }]
    }).pipe(Effect.catchIf(({ reason }) => reason === "missing" || reason === "corrupt", () => Effect.succeed([]))))
  const logs = yield* Effect.try({
    try: () =>
      namesOf(disk.list(folder), ".jsonl").flatMap((id) => {
        const parsed = parseLog(Buffer.from(disk.read(logOf(id)) ?? []).toString("utf8"))
        return parsed === undefined ? [] : [{ ...parsed, live: Presence.isLive(disk, id) }]
      }),
    catch: fromCause("read its journals", `${disk.root}/${folder}`)
  })
  return [...sealed.flat(), ...logs].toSorted((a, b) => a.journal.id < b.journal.id ? -1 : 1)
})
