import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { searched, searchedOfAdapter } from "../../../src/pipeline/Hyperparameter.ts"
import * as Stage from "../../../src/pipeline/Stage.ts"
import type { Dimension } from "../../../src/search/space/Dimension.ts"
import * as Space from "../../../src/search/space/Space.ts"

const space = Space.make({
  learningRate: Space.logUniform(1e-5, 1e-2),
  batchSize: Space.ordinal([8, 16, 32]),
  epochs: Space.integer(1, 10),
  hidden: Space.integer(16, 1024, { scale: "log" }),
  warmupSteps: Space.integer(0, 100, { step: 25 }),
  warmupRatio: Space.uniform(0, 0.2),
  optimizer: Space.choice(["adamw", "sgd"]),
  nesterov: Space.choice([false, true]),
  seed: Space.fixed(7)
})

type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

const typed: Equals<Space.Type<typeof space>, {
  readonly learningRate: number
  readonly batchSize: 8 | 16 | 32
  readonly epochs: number
  readonly hidden: number
  readonly warmupSteps: number
  readonly warmupRatio: number
  readonly optimizer: "adamw" | "sgd"
  readonly nesterov: boolean
  readonly seed: 7
}> = true
void typed

// @ts-expect-error a default that is none of the choices
Space.choice(["adamw", "sgd"], { default: "lion" })

// @ts-expect-error a choice has only plain values
Space.choice([{ name: "adamw" }])

const unit = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const cases = space.leaves.map(({ dimension, name }) => [name, dimension] as const)

describe("Space", () => {
  it.prop("gives values that its schema accepts and that return to themselves", [unit], ([u]) => {
    for (const [name, dimension] of cases) {
      const value = dimension.fromUnit(u)
      assert.isTrue(Schema.is(dimension.schema)(value), `${name}: ${String(value)}`)
      const back = dimension.toUnit(value)
      assert.isTrue(back >= 0 && back <= 1, `${name}: ${back}`)
      assert.strictEqual(dimension.fromUnit(back), value, name)
    }
  })

  it.prop("moves a value by less than its rounding or its share", [unit], ([u]) => {
    const near = (dimension: Dimension<number>, tolerance: number) =>
      assert.isBelow(Math.abs(dimension.toUnit(dimension.fromUnit(u)) - u), tolerance)
    near(Space.uniform(-3, 5), 1e-5)
    near(Space.uniform(0, 1e9), 1e-5)
    // Five significant digits are at worst 1 in 20,000, over three decades.
    near(Space.logUniform(1e-5, 1e-2), 1 / 20_000 / Math.log(1000) + 1e-12)
    near(Space.integer(1, 10), 0.05 + 1e-12)
  })

  it.prop("rises with the unit where values have an order", [unit, unit], ([a, b]) => {
    const [low, high] = a < b ? [a, b] : [b, a]
    for (const name of ["learningRate", "batchSize", "epochs", "hidden", "warmupSteps", "warmupRatio"] as const) {
      const dimension = space.fields[name] as Dimension<number>
      assert.isAtMost(dimension.fromUnit(low), dimension.fromUnit(high), name)
    }
  })

  it("reaches both ends, and nothing beyond", () => {
    for (const [name, dimension] of cases) {
      assert.deepStrictEqual(dimension.fromUnit(-1), dimension.fromUnit(0), name)
      assert.deepStrictEqual(dimension.fromUnit(2), dimension.fromUnit(1), name)
    }
    const odd = Space.logUniform(1.23456789e-5, 0.0123456789)
    assert.deepStrictEqual([odd.fromUnit(0), odd.fromUnit(1)], [1.23456789e-5, 0.0123456789])
    assert.deepStrictEqual([0, 0.999999].map(Space.integer(1, 10).fromUnit), [1, 10])
    assert.throws(() => odd.fromUnit(Number.NaN), RangeError)
  })

  it("gives each discrete value its share", () => {
    const count = (dimension: Dimension<number>, n: number) => {
      const counts = new Map<number, number>()
      for (let i = 0; i < n; i++) {
        const value = dimension.fromUnit((i + 0.5) / n)
        counts.set(value, (counts.get(value) ?? 0) + 1)
      }
      return counts
    }
    assert.deepStrictEqual([...count(Space.integer(1, 5), 1000).values()], [200, 200, 200, 200, 200])
    assert.deepStrictEqual([...count(Space.integer(0, 9, { step: 3 }), 1000)], [[0, 250], [3, 250], [6, 250], [9, 250]])
    // On the log scale the share of v is log((v + 1/2) / (v - 1/2)).
    const log = count(Space.integer(1, 4, { scale: "log" }), 100_000)
    for (const v of [1, 2, 3, 4]) {
      const share = Math.log((v + 0.5) / (v - 0.5)) / Math.log(4.5 / 0.5)
      assert.closeTo(log.get(v)! / 100_000, share, 1e-4)
    }
  })

  it("rounds to text that a person can read", () => {
    const digits = (value: number) => value.toExponential().replace(/e.*$/, "").replace(/[.-]/g, "").length
    const rate = Space.logUniform(1e-5, 1e-2), ratio = Space.uniform(0, 0.2)
    for (let i = 0; i <= 1000; i++) {
      assert.isAtMost(digits(rate.fromUnit(i / 1000)), 5)
      assert.isAtMost(String(ratio.fromUnit(i / 1001)).length, "0.123456".length)
    }
    assert.strictEqual(rate.fromUnit(0.5), 0.00031623)
    assert.isFalse(Object.is(Space.uniform(-1, 1).fromUnit(0.4999999), -0))
  })

  it("has defaults: the given ones, else the middle of the scale, else the first choice", () => {
    assert.deepStrictEqual(Space.defaults(space), {
      learningRate: 0.00031623,
      batchSize: 16,
      epochs: 6,
      hidden: (space.fields["hidden"] as Dimension<number>).fromUnit(0.5),
      warmupSteps: 50,
      warmupRatio: 0.1,
      optimizer: "adamw",
      nesterov: false,
      seed: 7
    })
    const given = Space.make({
      learningRate: Space.logUniform(1e-5, 1e-2, { default: 2e-4 }),
      optimizer: Space.choice(["adamw", "sgd"], { default: "sgd" }),
      nesterov: Space.choice([true, false], { default: false })
    })
    assert.deepStrictEqual(Space.defaults(given), { learningRate: 2e-4, optimizer: "sgd", nesterov: false })
  })

  it("maps a point of the cube to a record and back, leaving out what does not vary", () => {
    assert.deepStrictEqual(space.axes.map(({ name }) => name), space.names.filter((name) => name !== "seed"))
    const point = space.axes.map((_, i) => (i + 0.5) / space.axes.length)
    const params = space.fromUnit(point)
    assert.deepStrictEqual(space.fromUnit(space.toUnit(params)), params)
    assert.deepStrictEqual(Object.keys(params), [...space.names])
    assert.strictEqual(params.seed, 7)
    assert.throws(() => space.fromUnit([0.5]), RangeError)
  })

  it("says NaN for a value of another space", () => {
    const wide = Space.make({
      x: Space.uniform(0, 10),
      n: Space.integer(0, 10, { step: 2 }),
      c: Space.choice(["a", "b"])
    })
    const foreign = { x: 11, n: 3, c: "z" } as unknown as Space.Type<typeof wide>
    assert.deepStrictEqual(wide.toUnit(foreign), [Number.NaN, Number.NaN, Number.NaN])
  })

  it("counts its points and lists them like an odometer", () => {
    assert.strictEqual(space.size, Infinity)
    const small = Space.make({ a: Space.choice(["x", "y"]), b: Space.integer(1, 3), c: Space.fixed(true) })
    assert.strictEqual(small.size, 6)
    assert.deepStrictEqual(
      Array.from({ length: 6 }, (_, index) => small.key(Space.at(small, index))),
      [`["x",1,true]`, `["x",2,true]`, `["x",3,true]`, `["y",1,true]`, `["y",2,true]`, `["y",3,true]`]
    )
  })

  it.effect("decodes a stored trial, or says what is wrong with it", () =>
    Effect.gen(function*() {
      const stored = JSON.parse(JSON.stringify(Space.defaults(space)))
      assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(space.schema)(stored), Space.defaults(space))
      const wrong = { ...stored, learningRate: 1, optimizer: "lion", warmupSteps: 30 }
      const result = yield* Effect.result(Schema.decodeUnknownEffect(space.schema)(wrong, { errors: "all" }))
      assert.isTrue(Result.isFailure(result))
      if (Result.isFailure(result)) {
        for (const name of ["learningRate", "optimizer", "warmupSteps"]) assert.include(result.failure.message, name)
      }
    }))

  it("describes itself for documents and tables", () => {
    assert.deepStrictEqual(Space.describe(space).map((row) => `${row.name}: ${row.values} [${row.default}]`), [
      "learningRate: 0.00001 to 0.01, log scale [0.00031623]",
      "batchSize: 8 < 16 < 32 [16]",
      "epochs: 1 to 10, whole [6]",
      `hidden: 16 to 1024, whole, log scale [${Space.defaults(space).hidden}]`,
      "warmupSteps: 0 to 100, whole in steps of 25 [50]",
      "warmupRatio: 0 to 0.2 [0.1]",
      "optimizer: adamw, sgd [adamw]",
      "nesterov: false, true [false]",
      "seed: always 7 [7]"
    ])
  })

  const invalid: ReadonlyArray<
    readonly [name: string, dimension: Dimension<unknown>, found: RegExp, expected: RegExp]
  > = [
    ["bounds the wrong way round", Space.uniform(1, 0), /min 1 and max 0/, /min below max/],
    ["an interval of one value", Space.uniform(1, 1), /min 1 and max 1/, /Space.fixed/],
    ["a bound that is no number", Space.uniform(Number.NaN, 1), /NaN/, /finite/],
    ["an infinite bound", Space.logUniform(1e-5, Infinity), /Infinity/, /finite/],
    ["an infinite range", Space.uniform(-1e308, 1e308), /1e\+308/, /finite range/],
    ["a logarithm of zero", Space.logUniform(0, 1), /min 0 on a log scale/, /above zero/],
    ["a logarithm of less than zero", Space.logUniform(-1, 1), /min -1/, /above zero/],
    ["a fraction as a bound of whole numbers", Space.integer(1.5, 3), /1\.5/, /Space.uniform/],
    ["a step of zero", Space.integer(0, 3, { step: 0 }), /step 0/, /at least 1/],
    ["a step that misses the end", Space.integer(1, 10, { step: 4 }), /max 10/, /max 9 or 13/],
    ["a step on the log scale", Space.integer(1, 9, { step: 2, scale: "log" }), /step 2/, /step 1/],
    ["a log scale from zero", Space.integer(0, 9, { scale: "log" }), /min 0/, /at least 1/],
    ["an empty choice", Space.choice([]), /no values/, /at least one/],
    ["a choice listed twice", Space.choice(["a", "b", "a"]), /"a" listed twice/, /differ/],
    ["a choice that is no number", Space.choice([1, Number.NaN]), /NaN/, /finite/],
    ["an empty ordinal", Space.ordinal([]), /no values/, /at least one/],
    ["a default outside", Space.uniform(0, 1, { default: 2 }), /default 2/, /0 to 1/],
    ["a default between the steps", Space.integer(0, 4, { step: 2, default: 3 }), /default 3/, /steps of 2/],
    ["a fixed NaN", Space.fixed(Number.NaN), /NaN/, /finite/]
  ]
  for (const [name, dimension, found, expected] of invalid) {
    it(`refuses ${name}, naming the hyperparameter`, () => {
      const error = Result.getOrThrow(
        Result.flip(Result.try(() => Space.make({ fine: Space.integer(1, 2), bad: dimension })))
      )
      assert.instanceOf(error, Space.InvalidSpace)
      if (!(error instanceof Space.InvalidSpace)) return
      assert.strictEqual(error.dimension, "bad")
      assert.match(error.found, found)
      assert.match(error.expected, expected)
      assert.include(error.message, "bad")
    })
  }

  it("refuses a space without hyperparameters", () => {
    assert.throws(() => Space.make({}), Space.InvalidSpace)
  })
})

const Train = Stage.make("train", {
  inputs: {},
  params: {
    rate: searched(Schema.Finite, {
      description: "How fast.",
      source: "us",
      search: ({ adapter }) =>
        adapter === "lora"
          ? { scale: "log", min: 1e-4, max: 1e-2, default: 1e-3 }
          : { scale: "log", min: 1e-6, max: 1e-4, default: 1e-5 }
    }),
    rank: searchedOfAdapter(Stage.withDefault(Schema.Int, 8), {
      description: "How wide.",
      source: "us",
      rangeOf: () => ({ values: [4, 8], default: 8 })
    }),
    seed: Stage.withDefault(Schema.Int, 0)
  },
  output: Schema.Finite,
  run: (_, { rank, rate, seed }) => Effect.succeed(rank * rate + seed)
})

describe("the space that a stage proposes", () => {
  it("has the hyperparameters that it says are worth searching, for what is tuned", () => {
    const space = Space.from(Train, { adapter: "lora" })
    const typed: Equals<Space.Type<typeof space>, { readonly rate: number; readonly rank: number }> = true
    void typed
    assert.deepStrictEqual(space.names, ["rate", "rank"])
    assert.deepStrictEqual(Space.defaults(space), { rate: 1e-3, rank: 8 })
    assert.deepStrictEqual(space.axes.map(({ name }) => name), ["rate", "rank"])
    // What has no effect is no part of it.
    const full = Space.from(Train)
    const fully: Equals<Space.Type<typeof full>, { readonly rate: number }> = true
    void fully
    assert.deepStrictEqual(Space.defaults(full), { rate: 1e-5 })
    // A point of it is what the stage takes.
    Train({}, space.fromUnit([0.3, 0.9]))
  })

  it("can be changed, one dimension at a time", () => {
    const space = Space.from(Train, { adapter: "lora" }, { rank: Space.fixed(16), seed: Space.choice([1, 2]) })
    const typed: Equals<Space.Type<typeof space>, { readonly rate: number; readonly rank: 16; readonly seed: 1 | 2 }> =
      true
    void typed
    assert.deepStrictEqual(Space.defaults(space), { rate: 1e-3, rank: 16, seed: 1 })
  })
})
