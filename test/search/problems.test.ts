import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Schema } from "effect"
import * as KeptAside from "../../bench/search/KeptAside.ts"
import * as Problem from "../../bench/search/Problem.ts"
import * as Problems from "../../bench/search/Problems.ts"
import * as Synthetic from "../../bench/search/SyntheticSpaces.ts"
import * as Tables from "../../bench/search/Tables.ts"
import * as Random from "../../src/random/Random.ts"
import * as Columns from "../../src/store/Columns.ts"
import * as Parquet from "../../src/store/Parquet.ts"

const point = (...x: ReadonlyArray<number>) => Object.fromEntries(x.map((each, i) => [`x${i}`, each]))

/** Values by the definitions in Python (math and numpy 2) with which the figures of Optuna 5.0.0 were measured. */
const fromPython: ReadonlyArray<readonly [problem: { readonly name: string }, params: object, value: number]> = [
  [Problems.branin, { x: 5.08, y: 7.32 }, 50.31136463960975],
  [Problems.branin, { x: -2.5, y: 13 }, 7.207899346645991],
  [Problems.branin, { x: 9.5, y: 0.4 }, 5.001141786888486],
  [Problems.hartmann6, point(0.2, 0.15, 0.48, 0.28, 0.31, 0.66), -3.3212456603515688],
  [Problems.hartmann6, point(0.67, 0.49, 0.83, 0.03, 0.81, 0.57), -0.017786368068143446],
  [Problems.hartmann6, point(0.38, 0.49, 0.93, 0.4, 0.97, 0.52), -0.04539593526472366],
  [Problems.levy5, point(3.4, -0.2, 6.5, -9.4, 6.2), 66.693897550768],
  [Problems.levy5, point(1.3, -4, -9, 9.8, -9.9), 94.62637321708073],
  [Problems.rastrigin5, point(1.76, -0.12, 3.33, -4.8, 3.15), 85.09532280483567],
  [Problems.rastrigin5, point(0.67, -2.07, -4.64, 5.02, -5.05), 109.67809393774752],
  [
    Problems.mixed6,
    { learningRate: 0.0023, dropout: 0.29, layers: 14, width: 0, activation: "relu", optimizer: "sgd" },
    3.2067484424304387
  ],
  [
    Problems.mixed6,
    { learningRate: 2.9e-5, dropout: 0.49, layers: 3, width: 7, activation: "tanh", optimizer: "lion" },
    1.8217360628206292
  ],
  [
    Problems.mixed6,
    { learningRate: 4e-4, dropout: 0.1, layers: 8, width: 4, activation: "silu", optimizer: "adamw" },
    0.12705362046127955
  ],
  [Problems.conditional, {
    optimizer: { _tag: "adamw", learningRate: 1.55e-5, weightDecay: 1.7e-4 },
    tune: { _tag: "lora", rank: 122, alpha: 3 },
    schedule: { _tag: "cosine", warmup: 0.23 }
  }, 3.6912345893986864],
  [Problems.conditional, {
    optimizer: { _tag: "adamw", learningRate: 1.2e-4, weightDecay: 0.03 },
    tune: { _tag: "full", layerwiseDecay: 0.91 },
    schedule: { _tag: "constant" }
  }, 0.8102878833628558],
  [Problems.conditional, {
    optimizer: { _tag: "sgd", learningRate: 0.038, momentum: 0.09 },
    tune: { _tag: "full", layerwiseDecay: 0.7 },
    schedule: { _tag: "cosine", warmup: 0.03 }
  }, 1.4849490189059242],
  [Problems.conditional, {
    optimizer: { _tag: "sgd", learningRate: 0.39, momentum: 0.55 },
    tune: { _tag: "lora", rank: 1, alpha: 87 },
    schedule: { _tag: "constant" }
  }, 2.6156390646294887]
]

const all = [...Problems.all, ...KeptAside.all]

/** Where each problem is lowest, to as many digits as its minimum needs. */
const lowest: Readonly<Record<string, object>> = {
  branin: { x: Math.PI, y: 2.275 },
  hartmann6: point(0.20168951, 0.15001069, 0.476874, 0.27533243, 0.31165162, 0.65730053),
  levy5: point(1, 1, 1, 1, 1),
  rastrigin5: point(0, 0, 0, 0, 0),
  mixed6: {
    learningRate: 10 ** -3.3,
    dropout: 0.15,
    layers: 7,
    width: 5,
    activation: "gelu",
    optimizer: "adamw"
  },
  conditional: {
    optimizer: { _tag: "adamw", learningRate: 10 ** -3.7, weightDecay: 0.01 },
    tune: { _tag: "lora", rank: 32, alpha: 64 },
    schedule: { _tag: "cosine", warmup: 0.06 }
  },
  ackley5: point(0, 0, 0, 0, 0),
  rosenbrock4: point(1, 1, 1, 1),
  griewank6: point(0, 0, 0, 0, 0, 0),
  styblinskiTang4: point(-2.903534027771, -2.903534027771, -2.903534027771, -2.903534027771),
  sixHumpCamel: { x: 0.08984201, y: -0.71265640 },
  hartmann3: point(0.1145888767, 0.5556488946, 0.8525469847),
  michalewicz5: point(2.202905521, 1.570796327, 1.284991567, 1.923058468, 1.720469773),
  mixed9: {
    learningRate: 10 ** -3.5,
    weightDecay: 0.01,
    dropout: 0.1,
    layers: 9,
    batchSize: 32,
    warmupSteps: 200,
    activation: "silu",
    optimizer: "adamw",
    normalisation: "rms"
  },
  nested: {
    tune: { _tag: "adapter", scale: 2, placement: { _tag: "everywhere", rank: 8, dropout: 0.05 } },
    optimizer: { _tag: "adamw", learningRate: 10 ** -3.6, schedule: { _tag: "cosine", warmup: 0.06 } }
  },
  noisy: { learningRate: 0.15 * 10 ** -1.5, momentum: 0.85, hidden: 128, epochs: 14, augmentation: "mask" },
  plateau: {
    learningRate: 10 ** (-8 + 9 * 0.45),
    epsilon: 10 ** (-10 + 13 * 0.4),
    l1: 1e-8,
    l2: 1e-8,
    linearDecay: 10 ** (-7 + 3 * 0.3),
    exponentialDecay: 10 ** (-6 + 3 * 0.7)
  },
  categorical: {
    encoder: "large",
    pooling: "attention",
    optimizer: "muon",
    bias: "without",
    augmentation: "mask"
  }
}

const values = (problem: Problem.Problem, count: number): ReadonlyArray<number> =>
  Array.from(
    { length: count },
    (_, i) => problem.noiseless(Problem.sample(problem.hyperparameters, Random.make(1, problem.name, i)))
  )

describe("benchmark problems", () => {
  it("have the values of the definitions by which the published figures were measured", () => {
    for (const [problem, params, expected] of fromPython) {
      const found = (problem as Problem.Problem).evaluate(params as Problem.Params)
      assert.closeTo(found / expected, 1, 1e-12, `${problem.name} at ${JSON.stringify(params)}`)
    }
  })

  it("are lowest where they say, and nowhere lower", () => {
    assert.deepStrictEqual(Object.keys(lowest), all.map(({ name }) => name))
    for (const problem of all) {
      const value = problem.noiseless(lowest[problem.name] as Problem.Params)
      assert.closeTo(value, problem.minimum, 1e-9, problem.name)
      for (const other of values(problem, 2000)) assert.isFalse(other < problem.minimum, problem.name)
    }
  })

  it("have a scale that half of all random configurations reach", () => {
    for (const problem of all) {
      const within = values(problem, 2000).filter((value) => value <= problem.reference).length / 2000
      // Of the flat problem, all that does not diverge reaches it.
      const [low, high] = problem.name === "plateau" ? [0.87, 0.93] : [0.45, 0.6]
      assert.isTrue(within > low && within < high, `${problem.name}: ${within}`)
    }
  })

  it("include a space of which a tenth diverges and six tenths learn nothing", () => {
    const found = values(Synthetic.plateau as Problem.Problem<never> as Problem.Problem, 10_000)
    assert.closeTo(found.filter(Number.isNaN).length / found.length, 0.1, 0.02)
    assert.closeTo(found.filter((value) => value === Math.log(2)).length / found.length, 0.6, 0.02)
  })

  it("report the same noise for the same configuration, of the stated size", () => {
    const points = Array.from(
      { length: 2000 },
      (_, i) => Problem.sample(Synthetic.noisy.hyperparameters, Random.make(1, "noise", i))
    )
    const problem = Synthetic.noisy as Problem.Problem<never> as Problem.Problem
    const noise = points.map((params) => problem.evaluate(params) - problem.noiseless(params))
    assert.deepStrictEqual(points.map((params) => problem.evaluate({ ...params }) - problem.noiseless(params)), noise)
    assert.closeTo(noise.reduce((sum, each) => sum + each, 0) / noise.length, 0, 0.01)
    assert.closeTo(Math.sqrt(noise.reduce((sum, each) => sum + each * each, 0) / noise.length), 0.1, 0.01)
  })
})

const Int32 = Schema.Int.check(Schema.isInt32())

const Config = Schema.Struct({ config_id: Int32, learning_rate: Schema.Number, beta1: Schema.Number })
const Checkpoint = Schema.Struct({
  task: Schema.String,
  config_id: Int32,
  step: Int32,
  valid_loss: Schema.Number
})

const configs = [[1e-4, 0.1], [1e-3, 0.5], [1e-1, 0.9]].map(([learning_rate, beta1], config_id) => ({
  config_id,
  learning_rate: learning_rate!,
  beta1: beta1!
}))
const curves = [[0.9, 0.5], [0.7, NaN], [0.8, 20]].flatMap((losses, config_id) =>
  losses.map((valid_loss, step) => ({ task: "imdb_tiny", config_id, step: step + 1, valid_loss }))
)

const folderOf = Effect.fnUntraced(function*(rows: typeof curves) {
  const files = yield* FileSystem.FileSystem
  const folder = yield* files.makeTempDirectoryScoped({ prefix: "attune-tables-" })
  yield* files.makeDirectory(`${folder}/taskset`)
  yield* files.writeFile(`${folder}/taskset/configs.parquet`, Parquet.encode(yield* Columns.fromRows(Config, configs)))
  yield* files.writeFile(`${folder}/taskset/curves.parquet`, Parquet.encode(yield* Columns.fromRows(Checkpoint, rows)))
  return folder
})

describe("tables of tuning runs", () => {
  it.layer(NodeFileSystem.layer)((it) => {
    it.effect("take a proposal for the nearest configuration that is left", () =>
      Effect.gen(function*() {
        // The order of the rows says nothing.
        const { factorials, pools: [pool] } = yield* Tables.load(yield* folderOf(curves.toReversed()))
        assert.lengthOf(factorials, 0)
        assert.strictEqual(pool!.name, "taskset tiny")
        assert.deepStrictEqual([...pool!.losses], [0.5, 1.5, 1.5])
        assert.deepStrictEqual([...pool!.curve(1)], [0.7, 1.5])
        assert.strictEqual(pool!.minimum, 0.5)
        assert.strictEqual(pool!.reference, 1.5)
        assert.deepStrictEqual(pool!.hyperparameters, [
          Problem.log("learning_rate", 1e-4, 1e-1),
          Problem.log("beta1", 0.1, 0.9)
        ])
        const near = { learning_rate: 2e-3, beta1: 0.5 }
        assert.strictEqual(pool!.nearest(near), 1)
        // On the log scale, 1e-4 and 0.1 are further from here than 1e-1 and 0.9.
        assert.strictEqual(pool!.nearest(near, (index) => index !== 1), 2)
        assert.strictEqual(pool!.nearest(near, () => false), -1)
      }).pipe(Effect.scoped))

    it.effect("refuse a folder without tables, and curves with checkpoints missing", () =>
      Effect.gen(function*() {
        const files = yield* FileSystem.FileSystem
        const empty = yield* Effect.flip(Tables.load(yield* files.makeTempDirectoryScoped()))
        assert.include(empty.message, "neither")
        const cut = yield* Effect.flip(Tables.load(yield* folderOf(curves.slice(1))))
        assert.include(cut.message, "imdb_tiny: 5 rows are not 2 checkpoints of 3 configurations")
      }).pipe(Effect.scoped))
  })
})
