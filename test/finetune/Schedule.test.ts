import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Schedule from "../../src/finetune/Schedule.ts"

const load = (name: string) => JSON.parse(readFileSync(new URL(`../fixtures/hf/${name}.json`, import.meta.url), "utf8"))

const first: { warmup_steps: number; steps: number; values: Record<string, Array<number>> } = load(
  "optimizers-schedules"
).schedules
const second: Record<string, { given: { num_warmup_steps: number }; values: Array<number> }> = load(
  "optimizers-schedules-more"
).schedules

/** A schedule of transformers, and ours. */
const pairs: ReadonlyArray<readonly [key: string, given: Record<string, unknown> & { readonly name: Schedule.Name }]> =
  [
    ["linear", { name: "linear" }],
    ["cosine", { name: "cosine" }],
    ["cosine, 3 half waves", { name: "cosine", waves: 1.5 }],
    ["cosine with floor", { name: "cosine", minimumRate: 0.1 }],
    ["cosine with restarts", { name: "cosine-with-restarts", cycles: 3 }],
    ["cosine with one cycle", { name: "cosine-with-restarts" }],
    ["constant", { name: "constant" }],
    ["inverse square root", { name: "inverse-square-root" }],
    ["inverse square root, without warm-up", { name: "inverse-square-root" }],
    ["inverse square root, timescale", { name: "inverse-square-root", timescale: 12 }],
    ["polynomial", { name: "polynomial", power: 2.5, minimumRate: 0.3 / 2 }],
    ["polynomial, to nothing", { name: "polynomial" }],
    [
      "warm-up stable decay, linear",
      { name: "warmup-stable-decay", decayRatio: 0.3, decay: "linear", minimumRate: 0.05, warmup: "1-sqrt" }
    ],
    [
      "warm-up stable decay, cosine",
      { name: "warmup-stable-decay", decayRatio: 0.3, decay: "cosine", minimumRate: 0.05, warmup: "linear" }
    ],
    [
      "warm-up stable decay, 1-sqrt",
      { name: "warmup-stable-decay", decayRatio: 0.3, decay: "1-sqrt", minimumRate: 0.05, warmup: "cosine" }
    ],
    ["warm-up stable decay", { name: "warmup-stable-decay", decayRatio: 0.1 }]
  ]

const decode = Schema.decodeUnknownSync(Schedule.Settings)

const run = Schema.Struct({
  settings: Schedule.Settings,
  totalSteps: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 })),
  warmupRatio: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
})

describe("Schedule", () => {
  it("knows every name that its settings have", () => {
    assert.deepStrictEqual([...Schedule.names].toSorted(), [...new Set(pairs.map(([, { name }]) => name))].toSorted())
    for (const name of Schedule.names) assert.deepStrictEqual(Schedule.defaultsOf(name), decode({ name }))
  })

  const simple = [
    ["linear", "linear"],
    ["cosine", "cosine"],
    ["constant", "constant_with_warmup"],
    // Where it ends unless told otherwise is a learning rate there, of a peak of 1.
    [decode({ name: "polynomial", minimumRate: 1e-7 }), "polynomial"]
  ] as const
  for (const [schedule, key] of simple) {
    it(`gives the factors of transformers left at its defaults: ${key}`, () => {
      assert.strictEqual(first.values[key]!.length, first.steps)
      const found = Schedule.make(schedule, first.steps, { steps: first.warmup_steps })
      for (const [step, expected] of first.values[key]!.entries()) {
        assert.closeTo(Schedule.factor(found, step), expected, 1e-12, `step ${step}`)
      }
    })
  }

  it("compares all of the reference", () => {
    assert.deepStrictEqual(Object.keys(second).toSorted(), pairs.map(([key]) => key).toSorted())
  })

  for (const [key, given] of pairs) {
    it(`gives the factors of transformers: ${key}`, () => {
      const { given: { num_warmup_steps }, values } = second[key]!
      assert.strictEqual(values.length, 40)
      const schedule = Schedule.make(decode(given), 40, { steps: num_warmup_steps })
      for (const [step, expected] of values.entries()) {
        assert.closeTo(Schedule.factor(schedule, step), expected, 1e-12, `step ${step}`)
      }
    })
  }

  it("warms up over a share of the steps, rounded up, or over a number of steps, and no longer than the run is", () => {
    assert.strictEqual(Schedule.make("linear", 41, 0.1).warmupSteps, 5)
    assert.strictEqual(Schedule.make("linear", 41, 0).warmupSteps, 0)
    assert.strictEqual(Schedule.make("linear", 41, { steps: 7 }).warmupSteps, 7)
    assert.strictEqual(Schedule.make("linear", 41, { steps: 100 }).warmupSteps, 41)
    assert.strictEqual(Schedule.factor(Schedule.make("linear", 41, 0), 0), 1)
  })

  it("has a floor that linear and polynomial decay and every cycle end at", () => {
    for (const name of ["linear", "polynomial", "cosine", "cosine-with-restarts", "warmup-stable-decay"] as const) {
      const schedule = Schedule.make(decode({ name, minimumRate: 0.2 }), 10, 0.2)
      assert.closeTo(Schedule.factor(schedule, 10), 0.2, 1e-12, name)
      assert.strictEqual(Schedule.factor(schedule, 2), 1, name)
      for (let step = 3; step < 10; step++) assert.isAtLeast(Schedule.factor(schedule, step), 0.2, name)
    }
  })

  it("refuses what no schedule has", () => {
    assert.throws(() => decode({ name: "linear", minimumRate: 1.5 }))
    assert.throws(() => decode({ name: "cosine-with-restarts", cycles: 0 }))
    assert.throws(() => decode({ name: "plateau" }))
  })

  it.prop("is what it was before it was written down and read again", [Schedule.Schedule], ([schedule]) => {
    const write = (schedule: Schedule.Schedule) => JSON.stringify(Schema.encodeUnknownSync(Schedule.Schedule)(schedule))
    const read = Schema.decodeUnknownSync(Schedule.Schedule)(JSON.parse(write(schedule)))
    assert.strictEqual(write(read), write(schedule))
    for (const step of [0, 1, 5, 100]) {
      assert.strictEqual(Schedule.factor(read, step), Schedule.factor(schedule, step))
    }
  })

  it.prop(
    "stays between 0 and 1 at every step and beyond the last, and between its peak and its end falls if it is to fall",
    [run],
    ([{ settings, totalSteps, warmupRatio }]) => {
      const schedule = Schedule.make(settings, totalSteps, warmupRatio)
      const falls = settings.name !== "cosine-with-restarts" && !("waves" in settings && settings.waves > 0.5)
      for (let step = 0; step < totalSteps + 3; step++) {
        const factor = Schedule.factor(schedule, step)
        assert.isTrue(factor >= 0 && factor <= 1, `${factor} at ${step}`)
        if (falls && step > schedule.warmupSteps) {
          assert.isAtMost(factor, Schedule.factor(schedule, step - 1) + 1e-15, `at ${step}`)
        }
      }
    }
  )
})
