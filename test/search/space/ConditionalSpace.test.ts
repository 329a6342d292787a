import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Random from "../../../src/random/Random.ts"
import * as Grid from "../../../src/search/samplers/Grid.ts"
import * as RandomSampler from "../../../src/search/samplers/RandomSampler.ts"
import * as Sobol from "../../../src/search/samplers/Sobol.ts"
import * as Space from "../../../src/search/space/Space.ts"
import * as StoredParams from "../../../src/search/space/StoredParams.ts"
import * as StoredSpace from "../../../src/search/space/StoredSpace.ts"
import { proposals } from "../samplers/proposals.ts"

const space = Space.make({
  optimizer: Space.branches({
    adamw: { learningRate: Space.logUniform(1e-6, 1e-2), weightDecay: Space.uniform(0, 0.3, { step: 0.1 }) },
    sgd: {
      learningRate: Space.logUniform(1e-4, 1),
      momentum: Space.branches({ none: {}, heavyBall: { value: Space.ordinal([0.5, 0.9, 0.99]) } })
    },
    none: {}
  }, { default: "sgd" }),
  epochs: Space.integer(1, 4),
  seed: Space.fixed(3)
})
type Params = Space.Type<typeof space>

const finite = Space.make({
  tune: Space.branches({
    lora: { rank: Space.choice([4, 8]), bias: Space.choice([true, false]) },
    full: {},
    head: { layers: Space.branches({ one: {}, more: { count: Space.integer(2, 4) } }) }
  }),
  warmup: Space.choice([0, 1])
})

const points = (count: number) =>
  Array.from({ length: count }, (_, index) => {
    const random = Random.make(5, "points", index)
    return space.fromUnit(space.axes.map(() => random.uniform()))
  })

describe("a conditional space", () => {
  it("gives a trial a tagged union that the compiler knows", () => {
    const rate = ({ optimizer }: Params): number => {
      switch (optimizer._tag) {
        case "adamw":
          return optimizer.learningRate + optimizer.weightDecay
        case "sgd":
          return optimizer.momentum._tag === "heavyBall" ? optimizer.momentum.value : optimizer.learningRate
        case "none": {
          // @ts-expect-error this branch brings nothing
          const missing: unknown = optimizer.learningRate
          return missing === undefined ? 0 : 1
        }
      }
    }
    assert.strictEqual(rate({ optimizer: { _tag: "none" }, epochs: 1, seed: 3 }), 0)
    assert.deepStrictEqual(Space.defaults(space), {
      optimizer: { _tag: "sgd", learningRate: 0.01, momentum: { _tag: "none" } },
      epochs: 3,
      seed: 3
    })
  })

  it("has an axis for each hyperparameter that varies, with the branches it belongs to", () => {
    assert.deepStrictEqual(space.axes.map(({ name, when }) => [name, when.map(({ axis, index }) => [axis, index])]), [
      ["optimizer", []],
      ["optimizer.adamw.learningRate", [[0, 0]]],
      ["optimizer.adamw.weightDecay", [[0, 0]]],
      ["optimizer.sgd.learningRate", [[0, 1]]],
      ["optimizer.sgd.momentum", [[0, 1]]],
      ["optimizer.sgd.momentum.heavyBall.value", [[0, 1], [4, 1]]],
      ["epochs", []]
    ])
  })

  it("finds the way from a point to its hyperparameters and back, NaN where an axis is inactive", () => {
    for (const params of points(200)) {
      const point = space.toUnit(params)
      assert.deepStrictEqual(space.fromUnit(point.map((u) => Number.isNaN(u) ? 0.123 : u)), params)
      for (const [axis, u] of point.entries()) {
        assert.strictEqual(Number.isNaN(u), !Space.isActive(space, point, axis), space.axes[axis]!.name)
      }
    }
  })

  it("stores and reads back what it proposes, and refuses what belongs to another branch", () => {
    const decode = Schema.decodeUnknownResult(space.schema, { onExcessProperty: "error" })
    for (const params of points(50)) {
      assert.deepStrictEqual(
        decode(JSON.parse(JSON.stringify(Schema.encodeSync(space.schema)(params)))),
        Result.succeed(params)
      )
    }
    const foreign = { optimizer: { _tag: "adamw", learningRate: 1e-3, momentum: { _tag: "none" } }, epochs: 1, seed: 3 }
    assert.isTrue(Result.isFailure(decode(foreign)))
  })

  it("counts its points branch by branch, each once", () => {
    assert.strictEqual(finite.size, (4 + 1 + 4) * 2)
    const keys = Array.from({ length: finite.size }, (_, index) => finite.key(Space.at(finite, index)))
    assert.strictEqual(new Set(keys).size, finite.size)
    for (const sampler of [Grid.make({ resolution: 3 }), RandomSampler.make(), Sobol.make()]) {
      const found = proposals(sampler, finite, 50)
      assert.deepStrictEqual(found.map(finite.key).toSorted(), keys.toSorted(), sampler.name)
    }
    assert.strictEqual(Grid.make({ resolution: 2, resolutions: { "tune.head.layers.more.count": 1 } }).size(finite), 14)
  })

  it("is the same after it was stored as data", () => {
    const stored = StoredSpace.encode(space)
    const read = StoredSpace.decode(
      Schema.decodeUnknownSync(StoredSpace.StoredSpace)(JSON.parse(JSON.stringify(stored)))
    )
    assert.deepStrictEqual(StoredSpace.encode(read), stored)
    assert.deepStrictEqual(Space.describe(read), Space.describe(space))
    for (const params of points(50)) assert.deepStrictEqual(read.toUnit(params), space.toUnit(params as never))
  })

  it("names the hyperparameter that makes no sense by its path", () => {
    const inside = (fields: object) => () => Space.make({ optimizer: Space.branches({ sgd: fields as {}, adamw: {} }) })
    assert.throws(inside({ momentum: Space.uniform(1, 0) }), /optimizer\.sgd\.momentum: found min 1 and max 0/)
    assert.throws(inside({ _tag: Space.uniform(0, 1) }), /optimizer\.sgd\._tag/)
    assert.throws(() => Space.make({ optimizer: Space.branches({}) }), /optimizer: found no values/)
    assert.throws(
      () => Space.make({ optimizer: Space.branches({ sgd: {} }, { default: "adam" as "sgd" }) }),
      /optimizer: found default "adam"/
    )
  })
})

describe("constraints", () => {
  const constrained = Space.make({
    batchSize: Space.integer(1, 64, { default: 8 }),
    length: Space.integer(1, 512, { default: 128 })
  }, { constraints: { "batch fits into memory": ({ batchSize, length }) => batchSize * length <= 1024 } })

  it("are kept by every proposal, and by what a schema reads", () => {
    for (const sampler of [RandomSampler.make(), Sobol.make(), Grid.make({ resolution: 6 })]) {
      const found = proposals(sampler, constrained, 60)
      assert.isAbove(found.length, 10, sampler.name)
      for (const { batchSize, length } of found) assert.isAtMost(batchSize * length, 1024, sampler.name)
    }
    const read = Schema.decodeUnknownResult(constrained.schema)({ batchSize: 64, length: 512 })
    assert.match(String(Result.isFailure(read) ? read.failure.message : ""), /batch fits into memory/)
  })

  it("end the proposals where all that keep them are used up", () => {
    const few = Space.make({ a: Space.integer(0, 9, { default: 4 }), b: Space.integer(0, 9, { default: 5 }) }, {
      constraints: { "a and b sum to 9": ({ a, b }) => a + b === 9 || a + b === 8 && a === 4 }
    })
    for (const sampler of [RandomSampler.make(), Sobol.make()]) {
      assert.strictEqual(proposals(sampler, few, 50).length, 11)
    }
  })

  it("that contradict each other, or the defaults, are refused when the space is made", () => {
    const made = (constraints: Readonly<Record<string, (params: { readonly a: number }) => boolean>>) => () =>
      Space.make({ a: Space.uniform(0, 1, { default: 0.5 }) }, { constraints })
    assert.throws(
      made({ small: ({ a }) => a <= 0.5, large: ({ a }) => a >= 0.5 }),
      /constraints: found no point besides the defaults.*"small" holds at \d+, "large" holds at \d+/
    )
    assert.throws(
      made({ small: ({ a }) => a < 0.2 }),
      /defaults: found \{"a":0.5\}, which breaks the constraint "small"/
    )
    assert.doesNotThrow(made({ small: ({ a }) => a < 0.6 }))
  })
})

describe("stored hyperparameters in a later version of the space", () => {
  const reason = (stored: unknown) => {
    const read = StoredParams.read(space, stored)
    return Result.isFailure(read) ? read.failure.message : "read"
  }

  it("take defaults for what is new and lose what is gone", () => {
    const stored = { optimizer: { _tag: "sgd", learningRate: 0.5, nesterov: true }, seed: 3, dropout: 0.1 }
    assert.deepStrictEqual(
      StoredParams.read(space, stored),
      Result.succeed({
        params: {
          optimizer: { _tag: "sgd", learningRate: 0.5, momentum: { _tag: "none" } },
          epochs: 3,
          seed: 3
        } as Params,
        assumed: ["optimizer.momentum", "epochs"],
        dropped: ["dropout", "optimizer.nesterov"]
      })
    )
  })

  it("say why they are not in it", () => {
    const sgd = { _tag: "sgd", learningRate: 0.5, momentum: { _tag: "none" } }
    assert.match(reason({ optimizer: sgd, epochs: 9, seed: 3 }), /^epochs: found 9; expected 1 to 4, whole/)
    assert.match(
      reason({ optimizer: { ...sgd, learningRate: 3 }, epochs: 1, seed: 3 }),
      /optimizer\.learningRate: found 3/
    )
    assert.match(
      reason({ optimizer: "sgd", epochs: 1, seed: 3 }),
      /optimizer: found "sgd"; expected a record whose _tag/
    )
    assert.match(reason({ optimizer: { _tag: "lion" }, epochs: 1, seed: 3 }), /_tag is one of adamw, sgd, none/)
    assert.match(reason({ optimizer: sgd, epochs: 1, seed: 4 }), /seed: found 4; expected always 3/)
    assert.match(reason([1]), /hyperparameters: found \[1\]; expected a record/)
  })
})

describe("priors and steps", () => {
  const believed = Space.make({
    rate: Space.logUniform(1e-6, 1, { prior: { around: 1e-3, width: 3 } }),
    dropout: Space.uniform(0, 0.6, { prior: { around: 0.1, width: 0.05 } }),
    batch: Space.ordinal([8, 16, 32, 64], { weights: [1, 1, 1, 5] }),
    tune: Space.branches({ lora: { rank: Space.integer(1, 64, { scale: "log" }) }, full: {} }, {
      weights: { lora: 9, full: 1 }
    })
  })

  it("draw points from where good ones are expected, and rule nothing out", () => {
    for (const sampler of [RandomSampler.make(), Sobol.make()]) {
      const found = proposals(sampler, believed, 1000)
      const share = (holds: (params: Space.Type<typeof believed>) => boolean) =>
        found.filter(holds).length / found.length
      // One standard deviation to either side holds 68 %.
      assert.closeTo(share(({ rate }) => rate > 1e-3 / 3 && rate < 3e-3), 0.683, 0.05)
      assert.closeTo(share(({ dropout }) => dropout > 0.05 && dropout < 0.15), 0.683 / 0.977, 0.05)
      assert.closeTo(share(({ batch }) => batch === 64), 5 / 8, 0.05)
      assert.closeTo(share(({ tune }) => tune._tag === "full"), 0.1, 0.03)
      assert.isAbove(share(({ batch }) => batch === 8), 0)
    }
  })

  it("refuse what is no belief", () => {
    const refused = (dimension: Parameters<typeof Space.make>[0][string], message: RegExp) =>
      assert.throws(() => Space.make({ a: dimension }), message)
    refused(Space.uniform(0, 1, { prior: { around: 2, width: 1 } }), /a: found a prior around 2/)
    refused(Space.uniform(0, 1, { prior: { around: 0.5, width: 0 } }), /a: found a prior of width 0/)
    refused(Space.logUniform(1e-3, 1, { prior: { around: 0.1, width: 1 } }), /a factor above 1/)
    refused(Space.choice(["a", "b"], { weights: [1] }), /a: found weights \[1\]; expected 2 numbers/)
    refused(
      Space.uniform(0, 1, { step: 0.3 }),
      /a: found max 1, which steps of 0.3 from 0 pass over; expected max 0.9 or 1.2/
    )
  })

  it("steps stay on their lattice, in decimals that people wrote", () => {
    const steps = Space.uniform(0, 0.7, { step: 0.1 })
    assert.strictEqual(steps.size, 8)
    assert.deepStrictEqual(Array.from({ length: 8 }, (_, i) => steps.at(i)), [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert.deepStrictEqual(
      Array.from({ length: 8 }, (_, i) => steps.toUnit(i / 10)),
      Array.from({ length: 8 }, (_, i) => (i + 0.5) / 8)
    )
    assert.isTrue(Schema.is(steps.schema)(0.1 + 0.2))
    assert.isFalse(Schema.is(steps.schema)(0.25))
  })
})
