/**
 * A study as the result tables of a store have it: for a later study to start
 * from, and for what is worked out of its trials (`Importances`).
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Node from "../pipeline/Node.ts"
import type { StudyGoal } from "../pipeline/Progress.ts"
import type { EarlierStudy } from "../search/EarlierStudy.ts"
import type * as Space from "../search/space/Space.ts"
import { StoredSpace } from "../search/space/StoredSpace.ts"
import * as Columns from "../store/Columns.ts"
import { Store } from "../store/Store.ts"
import * as ResultTable from "./ResultTable.ts"
import * as Tables from "./Tables.ts"
import * as Trials from "./Trials.ts"

/** The store has no study of this name. */
export class NoStoredStudy extends Schema.TaggedError<NoStoredStudy>()("NoStoredStudy", {
  study: Schema.String,
  root: Schema.String,
  /** The studies that there are. */
  studies: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const there = this.studies.length === 0
      ? "It has none: run the pipeline of that study first, or choose its store with --store."
      : `Its studies are: ${this.studies.join(", ")}.`
    return `There is no study "${this.study}" in the store ${this.root}.\n${there}`
  }
}

/** A trial as its row has it. */
export interface StoredTrial {
  readonly trial: number
  readonly status: Trials.Row["status"]
  readonly params: Space.Params
  /** The metrics of the study, in its order, at every rung that gave them; all finite. */
  readonly rungs: Trials.Row["rungs"]
}

export interface StoredStudy {
  readonly study: string
  /** The first objective. */
  readonly metric: string
  readonly direction: "minimize" | "maximize"
  /** The metrics that the study looks at: its objectives, then those with limits. */
  readonly metrics: ReadonlyArray<string>
  /** `undefined` in a table that was written before it was kept, or where it cannot be read. */
  readonly goal: StudyGoal | undefined
  /** Likewise. */
  readonly space: StoredSpace | undefined
  readonly trials: ReadonlyArray<StoredTrial>
}

const Goal = Schema.fromJsonString(Schema.Struct({
  objectives: Schema.NonEmptyArray(
    Schema.Struct({ metric: Schema.String, direction: Schema.Literals(["minimize", "maximize"]) })
  ),
  limits: Schema.Array(Schema.Struct({
    metric: Schema.String,
    min: Schema.optionalKey(Schema.Finite),
    max: Schema.optionalKey(Schema.Finite)
  }))
}))

/** The columns that are read. Those that earlier versions did not write may be missing. */
const Rows = Schema.Array(Schema.Struct({
  trial: Schema.Int,
  status: Trials.Row.fields.status,
  params: Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json)),
  objective: Schema.String,
  direction: Trials.Row.fields.direction,
  metrics: Schema.optionalKey(Schema.Array(Schema.String)),
  rungs: Schema.Array(Schema.Struct({
    rung: Schema.Int,
    budget: Schema.Finite,
    value: Schema.Finite,
    values: Schema.optionalKey(Schema.Array(Schema.Finite))
  }))
}))

const decodeRows = Schema.decodeUnknownOption(Rows)
const decodeGoal = Schema.decodeUnknownOption(Goal)
const decodeSpace = Schema.decodeUnknownOption(Schema.fromJsonString(StoredSpace))

/** The study of this name, as it is in the tables now. One that is still running has the trials so far. */
export const read = Effect.fnUntraced(function*(name: string): Effect.fn.Return<StoredStudy, NoStoredStudy, Store> {
  const found = yield* ResultTable.read(Trials.table, Tables.fileOfStudy(Trials.table, name))
  const rows = found === undefined ? [] : Option.getOrElse(decodeRows(Columns.toRecords(found.columns)), () => [])
  const [first] = rows
  if (found === undefined || first === undefined) {
    const { root } = yield* Store
    return yield* new NoStoredStudy({ study: name, root, studies: yield* names })
  }
  return {
    study: name,
    metric: first.objective,
    direction: first.direction,
    metrics: first.metrics ?? [first.objective],
    goal: Option.getOrUndefined(decodeGoal(found.notes["attune.goal"])),
    space: Option.getOrUndefined(decodeSpace(found.notes["attune.space"])),
    trials: rows.map(({ params, rungs, status, trial }) => ({
      trial,
      status,
      params,
      rungs: rungs.map(({ values, ...rung }) => ({ ...rung, values: values ?? [rung.value] }))
    }))
  }
})

/** The names of the studies that the store has trials of. */
export const names: Effect.Effect<ReadonlyArray<string>, never, Store> = Effect.gen(function*() {
  const store = yield* Store
  const files = yield* store.tables.pipe(Effect.catch(() => Effect.succeed([])))
  const found = yield* Effect.forEach(
    files.filter((file) => /^study=[^/]*\/trials\.parquet$/.test(file)),
    (file) => Effect.map(ResultTable.notesOf(file), (notes) => notes?.["attune.study"])
  )
  return found.filter((name) => name !== undefined).toSorted()
})

const Output = Schema.Struct({
  selection: Schema.Struct({ study: Schema.String, metric: Schema.String }),
  search: Schema.Struct({ direction: Schema.Literals(["minimize", "maximize"]) }),
  trials: Schema.Array(Schema.Struct({
    status: Schema.Literals(["running", "completed", "stopped", "failed"]),
    params: Schema.Json,
    rungs: Schema.Array(Schema.Struct({ budget: Schema.Finite, value: Schema.Finite }))
  }))
})

/**
 * A study of the store as a node, for another one to start from:
 * `Study.make("new", { ..., earlier: [StoredStudy.make("old")] })`.
 *
 * It is read from the tables at every run, so a study of the same pipeline has
 * to be given as its own node instead: its tables are written while it runs.
 */
export const make = (name: string): Node.Node<EarlierStudy, NoStoredStudy> =>
  Node.make<typeof Output.Type, NoStoredStudy, never>(name, Output, {
    _tag: "Source",
    description: `the study ${name} in the store`,
    read: Effect.map(read(name), ({ direction, metric, trials }) => ({
      selection: { study: name, metric },
      search: { direction },
      trials: trials.map(({ params, rungs, status }) => ({
        status,
        params,
        rungs: rungs.map(({ budget, value }) => ({ budget, value }))
      }))
    }))
  })
