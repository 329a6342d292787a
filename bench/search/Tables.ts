/**
 * Problems from real tuning runs, read from the folder that the environment
 * variable `ATTUNE_HPO_TABLES` names. Absent from the repository; benchmarks
 * leave out what is not there.
 *
 * - `fcnet/table.parquet`: the FCNet tables of HPOBench (Klein and Hutter,
 *   "Tabular benchmarks for joint architecture and hyperparameter
 *   optimization", 2019), every combination of nine hyperparameters trained with
 *   four seeds each.
 * - `taskset/configs.parquet`, `taskset/curves.parquet`: text classifiers of
 *   TaskSet (Metz et al., "Using a thousand optimization tasks to learn
 *   hyperparameter search strategies", 2020), 1,000 configurations of Adam
 *   each, with losses at 51 checkpoints.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import * as Columns from "../../src/store/Columns.ts"
import * as Parquet from "../../src/store/Parquet.ts"
import { choice, type Hyperparameter, log, make, median, ordinal, type Params, type Problem } from "./Problem.ts"

/** The environment variable that names the folder. */
export const variable = "ATTUNE_HPO_TABLES"

/** A folder that holds no tables, or tables with rows missing. */
export class InvalidTables extends Schema.TaggedError<InvalidTables>()("InvalidTables", {
  folder: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.folder}: ${this.problem}. Unset ${variable} to run without tables.`
  }
}

/**
 * Configurations with known learning curves, for a search that may evaluate
 * each of them once: a proposal stands for the nearest one that is left.
 */
export interface Pool {
  readonly name: string
  /** Eight hyperparameters on the log scale; the bounds are the least and the greatest of the pool. */
  readonly hyperparameters: ReadonlyArray<Hyperparameter>
  /** The lowest and the median final loss. */
  readonly minimum: number
  readonly reference: number
  /** How many configurations there are. */
  readonly size: number
  /** The hyperparameters of each configuration. */
  readonly params: ReadonlyArray<Readonly<Record<string, number>>>
  /** The validation loss at the last checkpoint, a number for each configuration. */
  readonly losses: Float64Array
  /** How many checkpoints a curve has. */
  readonly checkpoints: number
  /** The validation loss of a configuration at each checkpoint: the last is its final loss. */
  readonly curve: (index: number) => Float64Array
  /**
   * The configuration nearest to `params` (Euclid over log10 of all
   * hyperparameters, each scaled to [0, 1] over the pool) among those that
   * `isFree` allows; the first of equally near ones, and -1 when none is free.
   */
  nearest(params: Params, isFree?: (index: number) => boolean): number
}

export interface Tables {
  /** Full factorials: every point of the space was evaluated. */
  readonly factorials: ReadonlyArray<Problem>
  readonly pools: ReadonlyArray<Pool>
}

/**
 * The hyperparameters of the factorial, as its rows are ordered (the last turns
 * fastest). What is a number is searched by its index, in the order of growth.
 */
const factorial = {
  activation_fn_1: ["relu", "tanh"],
  activation_fn_2: ["relu", "tanh"],
  batch_size: [8, 16, 32, 64],
  dropout_1: [0, 0.3, 0.6],
  dropout_2: [0, 0.3, 0.6],
  init_lr: [5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1],
  lr_schedule: ["cosine", "const"],
  n_units_1: [16, 32, 64, 128, 256, 512],
  n_units_2: [16, 32, 64, 128, 256, 512]
} as const

const numbers = (table: Columns.Columns, column: string): ArrayLike<number> =>
  table.columns[column] as ArrayLike<number>

const texts = (table: Columns.Columns, column: string): ReadonlyArray<string> =>
  table.columns[column] as ReadonlyArray<string>

/** Rows by the value of a column, in the order of the table. */
const rowsBy = (keys: ReadonlyArray<string>): ReadonlyMap<string, ReadonlyArray<number>> => {
  const rows = new Map<string, Array<number>>()
  for (const [row, key] of keys.entries()) {
    const known = rows.get(key)
    if (known === undefined) rows.set(key, [row])
    else known.push(row)
  }
  return rows
}

const seeds = ["valid_mse_seed0", "valid_mse_seed1", "valid_mse_seed2", "valid_mse_seed3"]

const factorialsOf = (table: Columns.Columns): ReadonlyArray<Problem> => {
  const dimensions = Object.entries(factorial) as ReadonlyArray<readonly [string, ReadonlyArray<string | number>]>
  const size = dimensions.reduce((product, [, values]) => product * values.length, 1)
  const byText = (values: ReadonlyArray<string | number>) => typeof values[0] === "string"
  const hyperparameters = dimensions.map(([name, values]) =>
    byText(values) ? choice(name, values) : ordinal(name, values.map((_, index) => index))
  )
  const cells = dimensions.map(([name]) => table.columns[name]!)
  const errors = seeds.map((seed) => numbers(table, seed))
  return [...rowsBy(texts(table, "dataset"))].map(([dataset, rows]) => {
    const means = new Float64Array(size).fill(NaN)
    for (const row of rows) {
      let position = 0
      for (const [i, [, values]] of dimensions.entries()) {
        position = position * values.length + values.indexOf(cells[i]![row] as string | number)
      }
      // In single precision, as the table is and as the figures are to which regrets are compared.
      means[position] = Math.fround(errors.reduce((sum, error) => Math.fround(sum + error[row]!), 0) / seeds.length)
    }
    if (rows.length !== size || means.some(Number.isNaN)) {
      throw new RangeError(`${dataset}: ${rows.length} rows are not the ${size} combinations of the factorial`)
    }
    return make({
      name: `fcnet ${dataset}`,
      hyperparameters,
      minimum: means.reduce((least, mean) => Math.min(least, mean)),
      reference: median(means),
      evaluate: (params: Params) =>
        means[
          dimensions.reduce((position, [name, values]) => {
            const value = params[name] as string | number
            return position * values.length + (byText(values) ? values.indexOf(value) : value as number)
          }, 0)
        ]!
    })
  })
}

/** A loss above this, or none, counts as this: chance is ln 2. */
const ceiling = 1.5

const poolsOf = (configs: Columns.Columns, curves: Columns.Columns): ReadonlyArray<Pool> => {
  const names = configs.schema.fields.map(({ name }) => name).filter((name) => name !== "config_id")
  const size = configs.length, dimensions = names.length
  const ids = numbers(configs, "config_id")
  const indexOf = new Map(Array.from({ length: size }, (_, index) => [ids[index]!, index]))
  const params = Array.from(
    { length: size },
    (_, index) => Object.fromEntries(names.map((name) => [name, numbers(configs, name)[index]!]))
  )
  const bounds = names.map((name) => {
    const all = Array.from(numbers(configs, name))
    return { min: Math.min(...all), max: Math.max(...all) }
  })
  const low = bounds.map(({ min }) => Math.log10(min))
  const span = bounds.map(({ max }, i) => Math.log10(max) - low[i]!)
  const scaled = (configuration: Params, i: number) =>
    (Math.log10(configuration[names[i]!] as number) - low[i]!) / span[i]!
  const points = new Float64Array(size * dimensions)
  for (const [index, each] of params.entries()) {
    for (let i = 0; i < dimensions; i++) points[index * dimensions + i] = scaled(each, i)
  }
  const nearest = (configuration: Params, isFree: (index: number) => boolean = () => true): number => {
    const target = names.map((_, i) => scaled(configuration, i))
    let found = -1, least = Infinity
    for (let index = 0; index < size; index++) {
      if (!isFree(index)) continue
      let squared = 0
      for (let i = 0; i < dimensions; i++) squared += (points[index * dimensions + i]! - target[i]!) ** 2
      if (squared < least) {
        least = squared
        found = index
      }
    }
    return found
  }
  const owner = numbers(curves, "config_id"), steps = numbers(curves, "step"), losses = numbers(curves, "valid_loss")
  return [...rowsBy(texts(curves, "task"))].map(([task, rows]) => {
    const checkpoints = rows.reduce((most, row) => Math.max(most, steps[row]!), 0)
    const values = new Float64Array(size * checkpoints).fill(NaN)
    for (const row of rows) {
      const loss = losses[row]!
      const position = indexOf.get(owner[row]!)! * checkpoints + steps[row]! - 1
      values[position] = Number.isFinite(loss) ? Math.min(ceiling, loss) : ceiling
    }
    if (rows.length !== values.length || values.some(Number.isNaN)) {
      throw new RangeError(`${task}: ${rows.length} rows are not ${checkpoints} checkpoints of ${size} configurations`)
    }
    const last = Float64Array.from({ length: size }, (_, index) => values[(index + 1) * checkpoints - 1]!)
    return {
      name: `taskset ${task.replace(/^imdb_/, "")}`,
      hyperparameters: names.map((name, i) => log(name, bounds[i]!.min, bounds[i]!.max)),
      minimum: last.reduce((least, loss) => Math.min(least, loss)),
      reference: median(last),
      size,
      params,
      losses: last,
      checkpoints,
      curve: (index) => values.subarray(index * checkpoints, (index + 1) * checkpoints),
      nearest
    }
  })
}

const table = Effect.fnUntraced(function*(path: string, columns?: ReadonlyArray<string>) {
  return yield* Parquet.read(yield* Parquet.ofFile(path), columns === undefined ? undefined : { columns })
}, Effect.scoped)

/** The tables of a folder that holds either or both kinds. */
export const load = Effect.fnUntraced(function*(folder: string) {
  const fileSystem = yield* FileSystem.FileSystem
  const fault = (problem: string) => new InvalidTables({ folder, problem })
  const complete = <A>(make: () => A) => Effect.try({ try: make, catch: (error) => fault((error as Error).message) })
  let factorials: Tables["factorials"] = [], pools: Tables["pools"] = []
  const fcnet = `${folder}/fcnet/table.parquet`, curves = `${folder}/taskset/curves.parquet`
  if (yield* fileSystem.exists(fcnet)) {
    const read = yield* table(fcnet)
    factorials = yield* complete(() => factorialsOf(read))
  }
  if (yield* fileSystem.exists(curves)) {
    const configs = yield* table(`${folder}/taskset/configs.parquet`)
    const read = yield* table(curves, ["task", "config_id", "step", "valid_loss"])
    pools = yield* complete(() => poolsOf(configs, read))
  }
  if (factorials.length + pools.length === 0) {
    return yield* fault("holds neither fcnet/table.parquet nor taskset/curves.parquet")
  }
  return { factorials, pools } satisfies Tables as Tables
})

/** The tables of the folder that the environment names; none when it names none. */
export const fromEnvironment = Effect.suspend(() => {
  const folder = process.env[variable]
  return folder === undefined || folder === ""
    ? Effect.succeed<Tables>({ factorials: [], pools: [] })
    : load(folder)
})
