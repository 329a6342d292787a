import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Random from "../../../src/random/Random.ts"
import * as Importance from "../../../src/search/importance/Importance.ts"
import { InvalidStudy } from "../../../src/search/InvalidStudy.ts"
import * as Sobol from "../../../src/search/samplers/Sobol.ts"

type Axis = Importance.Axis
interface Samples extends Importance.Samples {
  readonly losses: ReadonlyArray<number>
}

/** What Optuna finds in the same trials. */
interface Problem {
  readonly names: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<number | string | null>>
  readonly pedAnova: ReadonlyArray<{
    readonly options: Importance.PedAnovaOptions
    readonly importance: Readonly<Record<string, number>>
  }>
  readonly fanova: Readonly<Record<string, { readonly mean: number; readonly deviation: number }>>
}

const { problems }: { readonly problems: Readonly<Record<"mixed6" | "hartmann6" | "conditional", Problem>> } = JSON
  .parse(readFileSync(new URL("../../fixtures/search/importance.json", import.meta.url), "utf8"))

/** A column of a fixture: its size, and where its values lie. */
type Column = readonly [kind: Axis["kind"], size: number, position: (value: never) => number]

const linear = (
  min: number,
  max: number
): Column => ["numeric", Infinity, (value: number) => (value - min) / (max - min)]
const log = (min: number, max: number, size = Infinity): Column => [
  "numeric",
  size,
  (value: number) => Math.min(1, Math.max(0, Math.log(value / min) / Math.log(max / min)))
]
const whole = (min: number, max: number): Column => [
  "numeric",
  max - min + 1,
  (value: number) => (value - min + 0.5) / (max - min + 1)
]
const choice = (...values: ReadonlyArray<string>): Column => [
  "categorical",
  values.length,
  (value: string) => (values.indexOf(value) + 0.5) / values.length
]

const samplesOf = ({ names, rows }: Problem, columns: Readonly<Record<string, Column>>): Samples => ({
  axes: names.map((name) => ({ name, kind: columns[name]![0], size: columns[name]![1] })),
  points: rows.map((row) =>
    names.map((name, axis) => row[axis] === null ? NaN : columns[name]![2](row[axis] as never))
  ),
  losses: rows.map((row) => row.at(-1) as number)
})

const activation = choice("relu", "gelu", "tanh", "silu"), optimizer = choice("sgd", "adamw", "lion")
const mixed6 = samplesOf(problems.mixed6, {
  lr: log(1e-6, 0.1),
  drop: linear(0, 0.6),
  layers: whole(1, 16),
  width: whole(0, 7),
  act: activation,
  opt: optimizer
})
const unit = linear(0, 1)
const hartmann6 = samplesOf(problems.hartmann6, { x0: unit, x1: unit, x2: unit, x3: unit, x4: unit, x5: unit })
const conditional = samplesOf(problems.conditional, {
  opt: choice("adamw", "sgd"),
  tune: choice("lora", "full"),
  sched: choice("cosine", "constant"),
  adamw_lr: log(1e-6, 1e-2),
  wd: log(1e-5, 1),
  sgd_lr: log(1e-4, 1),
  mom: linear(0, 0.99),
  rank: log(1, 128, 128),
  alpha: log(1, 128, 128),
  llrd: linear(0.5, 1),
  warm: linear(0, 0.3),
  steps: whole(1, 200)
})

const continuous = (...names: ReadonlyArray<string>): ReadonlyArray<Axis> =>
  names.map((name) => ({ name, kind: "numeric", size: Infinity }))
const categories = (name: string, size: number): Axis => ({ name, kind: "categorical", size })

/** The objective at Sobol points. */
const sampled = (
  axes: ReadonlyArray<Axis>,
  count: number,
  loss: (point: ReadonlyArray<number>) => number
): Samples => {
  const points = Array.from({ length: count }, (_, index) =>
    Sobol.point(axes.length, index, 1).map((u, axis) => {
      const { size } = axes[axis]!
      return size === Infinity ? u : (Math.floor(u * size) + 0.5) / size
    }))
  return { axes, points, losses: points.map(loss) }
}

/** Every combination of categories `repeats` times, so that each tree knows all of them. */
const factorial = (
  axes: ReadonlyArray<Axis>,
  repeats: number,
  trial: (categories: ReadonlyArray<number>) => { readonly point?: ReadonlyArray<number>; readonly loss: number }
): Samples => {
  const cells = axes.reduce<ReadonlyArray<ReadonlyArray<number>>>(
    (rest, { size }) => rest.flatMap((cell) => Array.from({ length: size }, (_, category) => [...cell, category])),
    [[]]
  )
  const trials = cells.flatMap((cell) => {
    const { loss, point } = trial(cell)
    const position = point ?? cell.map((category, axis) => (category + 0.5) / axes[axis]!.size)
    return Array.from({ length: repeats }, () => ({ position, loss }))
  })
  return { axes, points: trials.map(({ position }) => position), losses: trials.map(({ loss }) => loss) }
}

const near = (found: number, expected: number, tolerance: number, what = "") =>
  assert.isAtMost(Math.abs(found - expected), tolerance, `${what} ${found} is not ${expected}`)

const named = (
  result: { readonly importances: ReadonlyArray<{ readonly name: string; readonly importance: number }> },
  name: string
): number => result.importances.find((each) => each.name === name)!.importance

const pair = (result: Importance.FanovaResult, a: string, b: string): number =>
  result.interactions.find(({ names }) => names[0] === a && names[1] === b)!.importance

const names = (result: { readonly importances: ReadonlyArray<{ readonly name: string }> }) =>
  result.importances.map(({ name }) => name)

const refused = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    return error
  }
  return undefined
}

const noImportance = (run: () => unknown): Importance.NoImportance => {
  const error = refused(run)
  assert.instanceOf(error, Importance.NoImportance)
  return error as Importance.NoImportance
}

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("pedAnova", () => {
  for (const [name, samples] of Object.entries({ mixed6, hartmann6, conditional })) {
    it(`agrees with Optuna: ${name}`, () => {
      for (const { importance, options } of problems[name as keyof typeof problems].pedAnova) {
        const found = Importance.pedAnova(samples, options)
        for (const [hyperparameter, expected] of Object.entries(importance)) {
          near(named(found, hyperparameter), expected, 1e-6, hyperparameter)
        }
        // Optuna gives hyperparameters of equal importance in no order of ours.
        assert.deepStrictEqual(
          found.importances.map((each) => each.importance),
          found.importances.map((each) => each.importance).toSorted((a, b) => b - a)
        )
        near(found.importances.reduce((sum, each) => sum + each.importance, 0), 1, 1e-12)
      }
    })
  }

  it("counts the best trials and those they are compared with", () => {
    const counts = (options: Importance.PedAnovaOptions, samples = hartmann6) => {
      const { best, compared } = Importance.pedAnova(samples, options)
      return [best, compared]
    }
    assert.deepStrictEqual(counts({}), [30, 300])
    assert.deepStrictEqual(counts({ quantile: 0.2, region: 0.5 }), [60, 150])
    // Five are the fewest that it takes by itself.
    const few = {
      ...hartmann6,
      points: hartmann6.points.slice(0, 20),
      losses: hartmann6.losses.slice(0, 20)
    }
    assert.deepStrictEqual(counts({}, few), [5, 20])
    assert.deepStrictEqual(counts({ quantile: 0.1 }, few), [2, 20])
    // Ties with the last of the best are as good.
    assert.deepStrictEqual(counts({}, { ...few, losses: few.losses.map((_, trial) => trial < 8 ? 0 : trial) }), [8, 20])
  })

  it.prop("depends on the order of the losses only", { seed: integer(0, 1_000_000) }, ({ seed }) => {
    const draw = Random.make(seed, "test")
    const losses = hartmann6.points.map(() => Math.round(draw.normal() * 20) / 10)
    assert.deepStrictEqual(
      Importance.pedAnova({ ...hartmann6, losses: losses.map((loss) => Math.exp(3 * loss) - 1e6) }),
      Importance.pedAnova({ ...hartmann6, losses })
    )
  }, { arbitrary: { runs: 20 } })

  it("takes where the sampler went anyway for no merit, unless the whole space is the baseline", () => {
    const draw = Random.make(1, "test")
    // All trials are at the low end of `narrow`, on which nothing depends.
    const points = Array.from({ length: 200 }, () => [draw.uniform() * 0.1, draw.uniform()])
    const samples = { axes: continuous("narrow", "wide"), points, losses: points.map(([, wide]) => (wide! - 0.5) ** 2) }
    assert.isAbove(named(Importance.pedAnova(samples), "wide"), 0.9)
    assert.isAbove(named(Importance.pedAnova(samples, { baseline: "space" }), "narrow"), 0.6)
  })

  it("never takes a failed trial for one of the best", () => {
    // Of 100 trials six succeed, all of the second category; there all values of x do equally well.
    const draw = Random.make(2, "test")
    const axes = [categories("optimizer", 2), ...continuous("x")]
    const points = Array.from({ length: 100 }, (_, trial) => [trial < 50 ? 0.25 : 0.75, draw.uniform()])
    for (const failure of [NaN, Infinity, -Infinity]) {
      const losses = points.map((_, trial) => trial >= 94 ? trial : failure)
      const found = Importance.pedAnova({ axes, points, losses })
      assert.deepStrictEqual([found.best, found.compared], [6, 100])
      assert.deepStrictEqual(
        found,
        Importance.pedAnova({ axes, points, losses: losses.map((loss) => loss > 0 ? loss : 1e9) })
      )
    }
  })

  it("credits what switches a hyperparameter on, not the one that is switched", () => {
    // Whether the second optimizer is used is all that matters; its momentum does nothing.
    const axes = [categories("optimizer", 2), ...continuous("momentum")]
    const draw = Random.make(3, "test")
    const points = Array.from({ length: 200 }, (_, trial) => trial % 2 === 0 ? [0.25, NaN] : [0.75, draw.uniform()])
    const losses = points.map(([optimizer]) => (optimizer === 0.25 ? 1 : 0) + draw.uniform())
    const found = Importance.pedAnova({ axes, points, losses })
    assert.isAbove(named(found, "optimizer"), 0.75)
    // And the other way round, where it matters.
    const tuned = points.map(([optimizer, momentum]) => optimizer === 0.25 ? 0.3 + draw.uniform() : momentum!)
    assert.strictEqual(names(Importance.pedAnova({ axes, points, losses: tuned }))[0], "momentum")
  })

  it("gives no importance to what has one value, or is inactive in the best trials", () => {
    const axes = [categories("fixed", 1), ...continuous("constant", "x", "inactive")]
    const points = Array.from({ length: 50 }, (_, trial) => [0.5, 0.3, trial / 50, trial < 20 ? NaN : trial / 50])
    const found = Importance.pedAnova({ axes, points, losses: points.map((_, trial) => trial) })
    assert.deepStrictEqual(names(found), ["x", "fixed", "constant", "inactive"])
    assert.deepStrictEqual(found.importances.map(({ importance }) => importance), [1, 0, 0, 0])
  })
})

describe("fanova", () => {
  it("agrees with Optuna's forest: hartmann6", () => {
    const found = Importance.fanova(hartmann6, { seed: 1 })
    for (const [name, { deviation, mean }] of Object.entries(problems.hartmann6.fanova)) {
      near(named(found, name), mean, 3 * deviation + 0.005, name)
    }
  })

  it("agrees with Optuna's forest: mixed6, encoded as there", () => {
    // Optuna measures a learning rate on the linear scale, and a category as one number of 0 or 1 for each value.
    const { names, rows } = problems.mixed6
    const scale = { lr: linear(1e-6, 0.1), drop: linear(0, 0.6), layers: linear(1, 16), width: linear(0, 7) }
    const values = { act: ["relu", "gelu", "tanh", "silu"], opt: ["sgd", "adamw", "lion"] }
    const hot = Object.entries(values).flatMap(([name, list]) => list.map((value) => ({ name, value })))
    const encoded: Samples = {
      axes: continuous(...Object.keys(scale), ...hot.map(({ name, value }) => `${name}=${value}`)),
      points: rows.map((row) => [
        ...Object.values(scale).map((column, axis) => column[2](row[axis] as never)),
        ...hot.map(({ name, value }) => row[names.indexOf(name)] === value ? 1 : 0)
      ]),
      losses: mixed6.losses
    }
    const found = Importance.fanova(encoded, { seed: 1 })
    for (const name of Object.keys(scale)) {
      const { deviation, mean } = problems.mixed6.fanova[name]!
      near(named(found, name), mean, 3 * deviation + 0.005, name)
    }
    // Of a category what its values explain, alone and in pairs; hardly anything is left to all three together.
    for (const [name, list] of Object.entries(values)) {
      const within = (axis: string) => list.some((value) => axis === `${name}=${value}`)
      const parts = [
        ...found.importances.filter((each) => within(each.name)),
        ...found.interactions.filter((each) => each.names.every(within))
      ]
      const { deviation, mean } = problems.mixed6.fanova[name]!
      near(parts.reduce((sum, { importance }) => sum + importance, 0), mean, 3 * deviation + 0.005, name)
    }
  })

  it("finds the indices of the Ishigami function", () => {
    const ishigami = ([u, v, w]: ReadonlyArray<number>) => {
      const [x, y, z] = [u!, v!, w!].map((each) => Math.PI * (2 * each - 1)) as [number, number, number]
      return Math.sin(x) + 7 * Math.sin(y) ** 2 + 0.1 * z ** 4 * Math.sin(x)
    }
    const found = Importance.fanova(sampled(continuous("x", "y", "z"), 4096, ishigami), { seed: 1, trees: 16 })
    // Ishigami and Homma 1990 with a = 7 and b = 0.1, in closed form. A split in y, around which the function is
    // even, gains little at first, so trees make too few of them: Optuna's forest has 0.34 of 1,024 points, ours 0.35.
    near(named(found, "x"), 0.3139, 0.04, "x")
    near(named(found, "y"), 0.4424, 0.08, "y")
    near(named(found, "z"), 0, 0.01, "z")
    near(pair(found, "x", "z"), 0.2437, 0.04, "x, z")
    near(pair(found, "x", "y"), 0, 0.02, "x, y")
    near(pair(found, "y", "z"), 0, 0.03, "y, z")
    assert.isBelow(found.rest, 0.06)
  })

  it("finds no interactions in a sum, and only one in a product", () => {
    const axes = continuous("x", "y", "z")
    const sum = Importance.fanova(sampled(axes, 2048, ([x, y, z]) => 3 * x! + 2 * y! + z!), { seed: 1, trees: 16 })
    near(named(sum, "x"), 9 / 14, 0.03, "x")
    near(named(sum, "y"), 4 / 14, 0.03, "y")
    near(named(sum, "z"), 1 / 14, 0.03, "z")
    for (const { importance } of sum.interactions) assert.isBelow(importance, 0.01)

    const centred = sampled(axes, 2048, ([x, y]) => (x! - 0.5) * (y! - 0.5))
    const product = Importance.fanova(centred, { seed: 1, trees: 16 })
    assert.deepStrictEqual(product.interactions[0]!.names, ["x", "y"])
    assert.isAbove(product.interactions[0]!.importance, 0.85)
    for (const { importance } of product.importances) assert.isBelow(importance, 0.02)
    // (1 + x)(1 + y), both uniform: the variances are r, r and r^2 with r = (1/12) / (3/2)^2.
    const shifted = sampled(axes, 2048, ([x, y]) => (1 + x!) * (1 + y!))
    const both = Importance.fanova(shifted, { seed: 1, trees: 16 })
    const r = 1 / 27
    near(named(both, "x"), r / (2 * r + r * r), 0.03, "x")
    near(pair(both, "x", "y"), r * r / (2 * r + r * r), 0.01, "x, y")
  })

  it("is exact where the trees can be: every combination of categories", () => {
    const axes = [categories("a", 3), categories("b", 4), categories("c", 2)]
    const effectOfA = [0, 1, 5], effectOfB = [2, 0, 1, 0]
    const together = (a: number, b: number) => (a === 1 ? 1 : -0.5) * (b < 2 ? 1 : -1)
    const all = (a: number, b: number, c: number) => (a === 0 ? 2 : -1) * (b % 2 ? 1 : -1) * (c ? 1 : -1)
    const samples = factorial(axes, 20, ([a, b, c]) => ({
      loss: effectOfA[a!]! + effectOfB[b!]! + together(a!, b!) + 0.4 * all(a!, b!, c!)
    }))
    const variances = { a: 14 / 3, b: 11 / 16, ab: 0.5, abc: 0.16 * 2 }
    const total = variances.a + variances.b + variances.ab + variances.abc
    const found = Importance.fanova(samples, { seed: 1, trees: 8 })
    near(named(found, "a"), variances.a / total, 1e-9, "a")
    near(named(found, "b"), variances.b / total, 1e-9, "b")
    near(named(found, "c"), 0, 1e-9, "c")
    near(pair(found, "a", "b"), variances.ab / total, 1e-9, "a, b")
    near(pair(found, "a", "c"), 0, 1e-9, "a, c")
    near(pair(found, "b", "c"), 0, 1e-9, "b, c")
    near(found.rest, variances.abc / total, 1e-9, "rest")
    for (const { deviation } of found.importances) near(deviation, 0, 1e-9)
  })

  it("takes an inactive hyperparameter for one without effect", () => {
    // The second optimizer has a momentum of four values; the first has none, and costs 1.
    const axes = [categories("optimizer", 2), categories("momentum", 4)]
    const cost = [4, 2, 1, 3]
    const samples = factorial(axes, 50, ([optimizer, momentum]) =>
      optimizer === 0
        ? { point: [0.25, NaN], loss: 1 }
        : { point: [0.75, (momentum! + 0.5) / 4], loss: cost[momentum!]! })
    const found = Importance.fanova(samples, { seed: 1, trees: 8 })
    // Half the space has the variance 5/4 of momentum. Its mean over the optimizers varies by half of each difference.
    const variances = { optimizer: (2.5 - 1) ** 2 / 4, momentum: 5 / 16, both: 5 / 16 }
    const total = variances.optimizer + variances.momentum + variances.both
    near(named(found, "optimizer"), variances.optimizer / total, 1e-9)
    near(named(found, "momentum"), variances.momentum / total, 1e-9)
    near(pair(found, "optimizer", "momentum"), variances.both / total, 1e-9)
    // Where it does nothing when active, it explains nothing: that it is active is the optimizer's doing.
    const draw = Random.make(4, "test")
    const points = Array.from({ length: 60 }, (_, trial) => trial < 30 ? [0.25, NaN] : [0.75, draw.uniform()])
    const idle = {
      axes: [axes[0]!, ...continuous("momentum")],
      points,
      losses: points.map(([optimizer]) => optimizer!)
    }
    const without = Importance.fanova(idle, { seed: 1 })
    near(named(without, "optimizer"), 1, 1e-12)
    near(named(without, "momentum"), 0, 1e-12)
  })

  it("counts a failed trial as the worst, and knows what makes trials fail", () => {
    const { losses } = hartmann6
    const worst = Math.max(...losses)
    const failing = losses.map((loss, trial) => trial % 7 === 0 ? worst : loss)
    const expected = Importance.fanova({ ...hartmann6, losses: failing }, { seed: 1, trees: 4 })
    for (const failure of [NaN, Infinity, -Infinity]) {
      const failed = losses.map((loss, trial) => trial % 7 === 0 ? failure : loss)
      assert.deepStrictEqual(Importance.fanova({ ...hartmann6, losses: failed }, { seed: 1, trees: 4 }), expected)
    }
    // All that succeed are equal: that they succeed is what x decides.
    const samples = sampled(continuous("x", "y"), 128, ([x]) => x! > 0.7 ? NaN : 0)
    assert.isAbove(named(Importance.fanova(samples, { seed: 1 }), "x"), 0.95)
  })

  it("leaves out how bad the bad trials are, when losses are capped", () => {
    // Half of the space diverges, the further the larger x; in the other half y decides.
    const samples = sampled(continuous("x", "y"), 512, ([x, y]) => x! > 0.5 ? 1e6 * x! : y!)
    assert.isAbove(named(Importance.fanova(samples, { seed: 1, trees: 16 }), "x"), 0.99)
    const capped = Importance.fanova(samples, { seed: 1, trees: 16, cap: 0.5 })
    assert.isAbove(named(capped, "y") + pair(capped, "x", "y"), 0.3)
  })

  it("reports as many pairs as are asked for, the most important of all", () => {
    const every = Importance.fanova(hartmann6, { seed: 1, trees: 4 })
    assert.strictEqual(every.interactions.length, 15)
    const sorted = every.interactions.toSorted((a, b) => b.importance - a.importance)
    assert.deepStrictEqual(every.interactions, sorted)
    const three = Importance.fanova(hartmann6, { seed: 1, trees: 4, pairs: 3 })
    assert.deepStrictEqual(three.interactions, every.interactions.slice(0, 3))
    const none = Importance.fanova(hartmann6, { seed: 1, trees: 4, pairs: 0 })
    assert.deepStrictEqual(none.interactions, [])
    for (const result of [every, three, none]) {
      assert.deepStrictEqual(result.importances, every.importances)
      const parts = [...result.importances, ...result.interactions].map(({ importance }) => importance)
      near(parts.reduce((sum, each) => sum + each, 0) + result.rest, 1, 1e-12)
    }
  })

  it("gives the same result for the same seed, and another for another", () => {
    const run = (seed: number) => Importance.fanova(mixed6, { seed, trees: 4, features: 0.5 })
    assert.deepStrictEqual(run(5), run(5))
    assert.notDeepEqual(run(5), run(6))
  })

  it("does not change with the unit of the losses, however large", () => {
    const scaled = (factor: number) =>
      Importance.fanova({ ...hartmann6, losses: hartmann6.losses.map((loss) => loss * factor) }, {
        seed: 1,
        trees: 4
      })
    assert.deepStrictEqual(scaled(2 ** 1000), scaled(1))
    assert.deepStrictEqual(scaled(2 ** -1000), scaled(1))
  })

  it("gives no importance to what has one value", () => {
    const samples = sampled([categories("fixed", 1), ...continuous("x", "y")], 64, ([, x, y]) => x! + y!)
    const found = Importance.fanova(samples, { seed: 1, trees: 4 })
    assert.deepStrictEqual(names(found).at(-1), "fixed")
    assert.strictEqual(named(found, "fixed"), 0)
    assert.strictEqual(pair(found, "fixed", "y"), 0)
    assert.strictEqual(found.interactions.length, 3)
  })
})

describe("Importance", () => {
  const methods = [
    (samples: Samples) => Importance.pedAnova(samples),
    (samples: Samples) => Importance.fanova(samples, { seed: 1, trees: 4 })
  ]
  const good = sampled(continuous("x", "y"), 12, ([x]) => x!)
  const take = (count: number): Samples => ({
    ...good,
    points: good.points.slice(0, count),
    losses: good.losses.slice(0, count)
  })

  it("says when there is nothing to tell it from", () => {
    for (const method of methods) {
      for (const count of [0, 1, 9]) {
        const error = noImportance(() => method(take(count)))
        assert.deepInclude(error, { reason: "too few trials", trials: count, succeeded: count })
      }
      assert.isDefined(method(take(10)))
      assert.strictEqual(
        noImportance(() => method({ ...good, losses: good.losses.map(() => 3) })).reason,
        "all losses equal"
      )
      const failed = noImportance(() => method({ ...good, losses: good.losses.map(() => NaN) }))
      assert.deepInclude(failed, { reason: "all losses equal", trials: 12, succeeded: 0 })
      assert.match(failed.message, /12 trials, 12 of which failed/)
      const still = { ...good, points: good.points.map(() => [0.5, NaN]) }
      assert.strictEqual(noImportance(() => method(still)).reason, "nothing varies")
      assert.strictEqual(
        noImportance(() => method({ ...good, axes: [], points: good.points.map(() => []) })).reason,
        "nothing varies"
      )
    }
    // Ten trials of one point and two of another cannot fill two leaves of six.
    const points = good.points.map((_, trial) => trial < 2 ? [0.1, 0.1] : [0.2, 0.2])
    assert.strictEqual(
      noImportance(() => Importance.fanova({ ...good, points }, { seed: 1, trees: 4, leaf: 6 })).reason,
      "nothing varies"
    )
  })

  it("refuses options that cannot be used", () => {
    const refuse = (run: () => unknown, message: RegExp) => assert.throws(run, InvalidStudy, message)
    for (const quantile of [0, 1, -1, NaN, 2]) refuse(() => Importance.pedAnova(good, { quantile }), /quantile/)
    for (const region of [0, -1, NaN, 2]) refuse(() => Importance.pedAnova(good, { region }), /region/)
    refuse(() => Importance.pedAnova(good, { quantile: 0.3, region: 0.2 }), /quantile: found 0.3.*below.*0.2/)
    refuse(() => Importance.pedAnova(good, { region: 0.5, baseline: "space" }), /region.*whole space/)
    refuse(() => Importance.fanova(good, { seed: -1 }), /seed/)
    refuse(() => Importance.fanova(good, { seed: 1, trees: 0 }), /trees/)
    refuse(() => Importance.fanova(good, { seed: 1, leaf: 0.5 }), /leaf/)
    refuse(() => Importance.fanova(good, { seed: 1, features: 0 }), /features/)
    refuse(() => Importance.fanova(good, { seed: 1, cap: 1.1 }), /cap/)
    refuse(() => Importance.fanova(good, { seed: 1, pairs: -1 }), /pairs/)
  })

  it("refuses samples that make no sense, and says where", () => {
    for (const method of methods) {
      const refuse = (samples: Partial<Samples>, message: RegExp) =>
        assert.throws(() => method({ ...good, ...samples }), InvalidStudy, message)
      refuse({ losses: [1, 2] }, /2 losses of 12 points/)
      refuse({ axes: continuous("x", "x") }, /x twice/)
      refuse({ axes: continuous("x") }, /points\[0\].*2 positions/)
      refuse({ axes: [categories("x", Infinity), categories("y", 2)] }, /x of Infinity values/)
      refuse({ points: good.points.map((point, trial) => trial === 3 ? [0.5, 1.5] : point) }, /points\[3\].*y at 1.5/)
    }
  })
})
