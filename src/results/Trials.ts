/**
 * The table `trials`: one row a trial, its hyperparameters and final metrics as
 * columns of their own.
 */
import { Field } from "apache-arrow/schema"
import { Bool, type DataType, Float64, Int64, Utf8 } from "apache-arrow/type"
import * as Schema from "effect/Schema"
import type { StudyGoal, StudyOutcome, TrialOutcome } from "../pipeline/Progress.ts"
import * as Goal from "../search/Goal.ts"
import type * as Columns from "../store/Columns.ts"
import * as JsonText from "./JsonText.ts"
import * as ResultTable from "./ResultTable.ts"

const { column, Int32, optional } = ResultTable

/** The columns that every study has. */
export const Row = Schema.Struct({
  study: column(Schema.String, "Name of the study."),
  trial: column(Int32, "Number of the trial within its study, from 0 in the order of proposal."),
  status: column(
    Schema.Literals(["completed", "stopped", "failed", "running"]),
    "`completed`: reached the last rung. `stopped`: got no more budget. `failed`: see `error`. `running`: has ended a rung but not the last, in the table of a study that has not ended."
  ),
  origin: optional(
    Schema.Literals(["enqueued", "sampler"]),
    "Whether its hyperparameters were given (the defaults are) or proposed by the sampler."
  ),
  params: column(Schema.String, "Its hyperparameters as canonical JSON."),
  budget: column(
    Schema.Finite,
    "Budget of the highest rung that gave a value; 0 where none did.",
    "units of the study's budget"
  ),
  objective: column(Schema.String, "Dotted path of the metric that the study optimises."),
  direction: column(Schema.Literals(["minimize", "maximize"]), "Which way of the objective is better."),
  value: optional(Schema.Finite, "The objective at `budget`. Null where the trial never had a finite one."),
  feasible: optional(
    Schema.Boolean,
    "Whether it kept every limit of the study at `budget`. Null where it has no values, and until the study ends."
  ),
  on_front: column(
    Schema.Boolean,
    "Whether no other trial surpasses it in every objective, among those that keep the limits at the highest rung that any of them reached. False until the study ends."
  ),
  repeats: column(
    Schema.Array(Schema.NullOr(Schema.Finite)),
    "The objective of its further trainings with other seeds, if it was a finalist; null where one failed. Empty until the study ends."
  ),
  error: optional(Schema.String, "Why it failed. Null unless `status` is `failed`."),
  rungs: column(
    Schema.Array(Schema.Struct({
      rung: Int32,
      budget: Schema.Finite,
      value: Schema.Finite,
      values: Schema.Array(Schema.Finite)
    })),
    "The objective at each rung that gave a value, in order, and in `values` all of `metrics`. Rungs count from 0."
  ),
  metrics: column(
    Schema.Array(Schema.String),
    "Dotted paths of the metrics that the study looks at: its objectives, the first of which is `objective`, then those with limits."
  ),
  runs: column(
    Schema.Array(Schema.String),
    "Keys of the stage runs made for it, of all its rungs, upstream before downstream: `key` in the table `runs`. Empty until the study ends."
  ),
  seed: column(Schema.Int, "Seed of the study."),
  sampler: column(Schema.String, "Which sampler proposed the hyperparameters, in words."),
  scheduler: column(Schema.String, "Which scheduler gave out the budget, in words."),
  virtual_start: optional(
    Schema.Finite,
    "When it started on the study's virtual machine. Null until the study ends.",
    "units of the study's budget"
  ),
  virtual_finish: optional(
    Schema.Finite,
    "When its last rung ended on the study's virtual machine. Null until the study ends.",
    "units of the study's budget"
  ),
  duration_seconds: optional(
    Schema.Finite,
    "Duration of its stage runs together, each counted once; a run that it shares with another trial counts in both. Null until the study ends.",
    "seconds"
  ),
  selected: column(
    Schema.Boolean,
    "Whether it is the best by the study's rule: of the trials that did not fail and that keep the limits, the best value at the highest rung that any of them reached, or the best over seeds among finalists; of equal ones the smallest number. Provisional until the study ends."
  )
})
export type Row = typeof Row.Type

export const table = ResultTable.make({
  name: "trials",
  format: 1,
  row: Row,
  varying: ["duration_seconds"],
  open:
    "`param_<name>` after `params`, one a hyperparameter: float64, int64, utf8 or bool by its values, JSON text where "
    + "they are of several kinds; null where a trial has none of that name. A choice of branches is its tag, and what "
    + "the branches bring is `param_<choice>_<name>`. `metric_<path>` after `value`, one a number "
    + "in the trial's output at its highest rung, with `_` for each dot of its path: float64, NaN and infinities kept, "
    + "null where there is no output; none until the study ends.",
  notes: {
    "attune.space":
      "the search space as JSON: `fields` by name, each with its `kind` (`uniform`, `log-uniform`, `integer`, "
      + "`choice`, `ordinal`, `fixed`, `branches`) and what belongs to that, and the names of the `constraints`",
    "attune.goal": "what the study is after, as JSON: its `objectives`, each with `metric` and `direction`, and its "
      + "`limits`, each with `metric`, `min` and `max` as far as there are"
  }
})

/** The notes of a study's table. */
export const notes = ({ goal, space }: Pick<Study, "goal" | "space">): ResultTable.Notes => ({
  "attune.space": JsonText.of(space),
  "attune.goal": JsonText.of(goal)
})

/** A trial as far as it is known. */
export interface Trial {
  readonly trial: number
  readonly status: Row["status"]
  readonly origin: TrialOutcome["origin"] | null
  readonly params: Readonly<Record<string, unknown>>
  readonly metrics: Readonly<Record<string, number>>
  readonly error: string | undefined
  readonly feasible: boolean | undefined
  readonly onFront: boolean
  readonly repeats: TrialOutcome["repeats"]
  readonly rungs: TrialOutcome["rungs"]
  /** Keys of its stage runs. */
  readonly runs: ReadonlyArray<string>
  readonly virtualStart: number | null
  readonly virtualFinish: number | null
  readonly durationSeconds: number | null
}

export interface Study {
  readonly study: string
  readonly metric: string
  readonly direction: "minimize" | "maximize"
  readonly metrics: ReadonlyArray<string>
  readonly goal: StudyGoal
  readonly seed: number
  readonly sampler: string
  readonly scheduler: string
  /** The search space as plain data. */
  readonly space: Schema.Json
  /** The trial that was chosen; `undefined` while that is open. */
  readonly selected: number | undefined
  readonly trials: ReadonlyArray<Trial>
}

/** The study as it ended. */
export const ofOutcome = (outcome: StudyOutcome): Study => ({
  ...outcome,
  trials: outcome.trials.map((trial) => ({
    ...trial,
    runs: trial.runs.map((run) => run.key),
    durationSeconds: durationOf(trial)
  }))
})

const durationOf = ({ runs }: TrialOutcome): number => {
  const millis = new Map(runs.map((run) => [run.key, run.durationMillis]))
  let sum = 0
  for (const value of millis.values()) sum += value
  return sum / 1000
}

/** The number of the best trial so far, by the rule that a study without finalists selects by. */
export const best = ({ direction, goal, trials }: Pick<Study, "direction" | "goal" | "trials">): number | undefined => {
  let found: { readonly trial: number; readonly rung: number; readonly value: number } | undefined
  for (const { rungs, status, trial } of trials) {
    const last = rungs.at(-1)
    if (status === "failed" || last === undefined || !Goal.isFeasible(goal, last.values)) continue
    const { rung, value } = last
    const better = found === undefined || rung > found.rung
      || (rung === found.rung && (direction === "minimize" ? value < found.value : value > found.value))
    if (better) found = { trial, rung, value }
  }
  return found?.trial
}

/** The table of a study, in the order of its trials. */
export const columns = (study: Study): Columns.Columns => {
  const trials = study.trials.toSorted((a, b) => a.trial - b.trial)
  const selected = study.selected ?? best({ ...study, trials })
  const records = trials.map((trial): Record<string, unknown> => ({
    study: JsonText.wellFormed(study.study),
    trial: trial.trial,
    status: trial.status,
    origin: trial.origin,
    params: JsonText.of(trial.params),
    budget: trial.rungs.at(-1)?.budget ?? 0,
    objective: JsonText.wellFormed(study.metric),
    direction: study.direction,
    value: trial.rungs.at(-1)?.value ?? null,
    feasible: trial.feasible ?? null,
    on_front: trial.onFront,
    repeats: trial.repeats.map((value) => value ?? null),
    error: trial.error === undefined ? null : JsonText.wellFormed(trial.error),
    rungs: trial.rungs.map(({ budget, rung, value, values }) => ({ rung, budget, value, values })),
    metrics: study.metrics.map(JsonText.wellFormed),
    runs: trial.runs,
    seed: BigInt(study.seed),
    sampler: JsonText.wellFormed(study.sampler),
    scheduler: JsonText.wellFormed(study.scheduler),
    virtual_start: trial.virtualStart,
    virtual_finish: trial.virtualFinish,
    duration_seconds: trial.durationSeconds,
    selected: trial.trial === selected
  }))
  const free = ResultTable.freeNames(table.schema.names.map(String))
  const fields: Array<Field> = []
  const cells: Record<string, ReadonlyArray<unknown>> = {}
  const add = (
    sources: ReadonlyArray<Readonly<Record<string, unknown>>>,
    rename: (name: string) => string,
    describe: (name: string) => string,
    natural: (values: ReadonlyArray<unknown>) => Natural
  ) => {
    for (const name of namesOf(sources)) {
      const values = sources.map((source) => Object.hasOwn(source, name) ? source[name] : undefined)
      const { toCell, type } = natural(values)
      const notes = new Map([["description", JsonText.wellFormed(describe(name))]])
      const field = new Field(free(JsonText.wellFormed(rename(name))), type, true, notes)
      fields.push(field)
      cells[field.name] = values.map((value) => value === undefined || value === null ? null : toCell(value))
    }
  }
  for (const field of table.schema.fields) {
    fields.push(field)
    cells[field.name] = records.map((record) => record[field.name])
    if (field.name === "params") {
      add(
        trials.map((trial) => flat(trial.params)),
        (name) => `param_${name.replaceAll(".", "_")}`,
        (name) => `The hyperparameter ${JSON.stringify(name)}.`,
        naturalOf
      )
    }
    if (field.name === "value") {
      add(
        trials.map((trial) => trial.metrics),
        (path) => `metric_${path.replaceAll(".", "_")}`,
        (path) => `The number at ${JSON.stringify(path)} in the trial's output.`,
        () => double
      )
    }
  }
  return ResultTable.fromCells(fields, trials.length, cells)
}

/** Hyperparameters by dotted path: of a branch the tag under the name of the choice, and what it brings below it. */
const flat = (params: Readonly<Record<string, unknown>>, path = ""): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(params).flatMap(([name, value]) => {
      if (typeof value !== "object" || value === null || !("_tag" in value)) return [[path + name, value]]
      const { _tag, ...inner } = value as Readonly<Record<string, unknown>>
      return [[path + name, _tag], ...Object.entries(flat(inner, `${path}${name}.`))]
    })
  )

const namesOf = (records: ReadonlyArray<Readonly<Record<string, unknown>>>): ReadonlySet<string> =>
  new Set(records.flatMap((record) => Object.keys(record)))

/** The type of a column that holds the values as they are, and what its cells are. */
interface Natural {
  readonly type: DataType
  readonly toCell: (value: any) => unknown
}

const double: Natural = { type: new Float64(), toCell: Number }

const naturalOf = (values: ReadonlyArray<unknown>): Natural => {
  const present = values.filter((value) => value !== undefined && value !== null)
  const every = (test: (value: any) => boolean) => present.length > 0 && present.every(test)
  if (every((value) => typeof value === "boolean")) return { type: new Bool(), toCell: (value) => value }
  if (every((value) => typeof value === "number")) {
    return every((value) => Number.isSafeInteger(value) && !Object.is(value, -0))
      ? { type: new Int64(), toCell: BigInt }
      : double
  }
  const isText = every((value) => typeof value === "string")
  return { type: new Utf8(), toCell: isText ? JsonText.wellFormed : JsonText.of }
}
