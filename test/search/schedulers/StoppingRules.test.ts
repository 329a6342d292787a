import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Goal from "../../../src/search/Goal.ts"
import { InvalidStudy } from "../../../src/search/InvalidStudy.ts"
import * as RandomSampler from "../../../src/search/samplers/RandomSampler.ts"
import type * as Scheduler from "../../../src/search/Scheduler.ts"
import * as Asha from "../../../src/search/schedulers/Asha.ts"
import * as MedianStopping from "../../../src/search/schedulers/MedianStopping.ts"
import * as Patience from "../../../src/search/schedulers/Patience.ts"
import * as PercentileStopping from "../../../src/search/schedulers/PercentileStopping.ts"
import * as StoppingRules from "../../../src/search/schedulers/StoppingRules.ts"
import * as SuccessiveHalving from "../../../src/search/schedulers/SuccessiveHalving.ts"
import * as Threshold from "../../../src/search/schedulers/Threshold.ts"
import * as Space from "../../../src/search/space/Space.ts"
import type * as VirtualTime from "../../../src/search/VirtualTime.ts"
import { simulate } from "../simulate.ts"

const space = Space.make({ x: Space.uniform(0, 1) })

/** One trial after the other, each with its values at the rungs. Where the table ends, nothing should be run. */
const study = (
  scheduler: Scheduler.Scheduler,
  table: ReadonlyArray<ReadonlyArray<number>>,
  direction: Goal.Direction = "minimize"
) => {
  const { summary } = simulate(
    {
      space,
      sampler: RandomSampler.make(),
      scheduler,
      goal: Goal.single(direction),
      seed: 1,
      trials: table.length,
      parallelism: 1
    },
    (job): VirtualTime.Outcome => {
      const value = table[job.trial]![job.rung]
      if (value === undefined) throw new Error(`trial ${job.trial} went on to rung ${job.rung}`)
      return { _tag: "Completed", values: [value] }
    },
    { concurrency: 1 }
  )
  return summary.trials.map(({ status, stop, values }) => [values.length, stop?.reason ?? status])
}

describe("MedianStopping", () => {
  const scheduler = MedianStopping.make({ every: 1, max: 3, after: 3, unit: "epochs" })
  const losses = [
    [5, 4, 3],
    [6, 2, 1],
    [4, 4, 4],
    // The averages of the three are 5, 6, 4 after one epoch and 4.5, 4, 4 after two.
    [7],
    [5, 4.5],
    [3, 9, 9],
    // With the last one also 3: the median is 4.5.
    [4.6],
    [4.5, 0, 0]
  ]
  const expected = [
    [3, "completed"],
    [3, "completed"],
    [3, "completed"],
    [
      1,
      "its best value, 7, is worse than 5, the median of the averages of 3 completed trials at rung 0 (1 of 3 epochs)"
    ],
    [
      2,
      "its best value, 4.5, is worse than 4, the median of the averages of 3 completed trials at rung 1 (2 of 3 epochs)"
    ],
    [3, "completed"],
    [
      1,
      "its best value, 4.6, is worse than 4.5, the median of the averages of 4 completed trials at rung 0 (1 of 3 epochs)"
    ],
    [3, "completed"]
  ]

  it("stops a trial whose best is worse than the median of the averages of the completed ones", () => {
    assert.deepStrictEqual(study(scheduler, losses), expected)
  })

  it("does the same turned round, in the objective's own values", () => {
    const scores = losses.map((curve) => curve.map((loss) => 10 - loss))
    const found = study(scheduler, scores, "maximize")
    assert.deepStrictEqual(found.map(([rungs]) => rungs), expected.map(([rungs]) => rungs))
    assert.match(String(found[3]![1]), /its best value, 3, is worse than 5,/)
  })

  it("keeps silent below a budget", () => {
    const late = MedianStopping.make({ every: 1, max: 3, after: 1, from: 2 })
    assert.deepStrictEqual(study(late, [[1, 1, 1], [9, 9]]).map(([rungs]) => rungs), [3, 2])
  })

  it("says what it does, and refuses what makes no sense", () => {
    assert.strictEqual(
      scheduler.description,
      "every trial through 1, 2, 3 epochs, until its best value is worse than the median of the running averages of " +
        "the completed trials (from 3 of them on)"
    )
    assert.strictEqual(scheduler.name, "median-stopping")
    for (const after of [0, 1.5, Number.NaN]) {
      assert.throws(() => MedianStopping.rule({ after }), InvalidStudy, /study, after/)
    }
    for (const from of [0, -1, Infinity, Number.NaN]) {
      assert.throws(() => MedianStopping.rule({ from }), InvalidStudy, /study, from/)
    }
  })
})

describe("PercentileStopping", () => {
  it("stops a trial when too many of the completed ones were better at its rung", () => {
    const scheduler = PercentileStopping.make({ every: 2, max: 4, percentile: 25, after: 4 })
    assert.deepStrictEqual(
      study(scheduler, [
        [4, 4],
        [3, 1],
        [2, 2],
        [1, 3],
        // One of four is better: a quarter, no more.
        [1.5, 0],
        // Two of five are.
        [1.7],
        // None is at first, all are then; but that is the last rung.
        [0, 9]
      ]),
      [
        ...Array.from({ length: 5 }, () => [2, "completed"]),
        [1, "2 of 5 completed trials were better at rung 0 (budget 2)"],
        [2, "completed"]
      ]
    )
  })

  it("ranks a trial that breaks a limit below all that keep it", () => {
    const { summary } = simulate(
      {
        space,
        sampler: RandomSampler.make(),
        scheduler: PercentileStopping.make({ every: 1, max: 2, percentile: 50, after: 2 }),
        goal: { ...Goal.single("minimize"), limits: [{ metric: "size", max: 10 }] },
        seed: 1,
        trials: 4,
        parallelism: 1
      },
      // The third has by far the lowest loss, and is too large.
      (job) => ({ _tag: "Completed", values: [[5, 6, 0, 4][job.trial]!, job.trial === 2 ? 11 : 9] }),
      { concurrency: 1 }
    )
    assert.deepStrictEqual(summary.trials.map(({ status }) => status), [
      "completed",
      "completed",
      "stopped",
      "completed"
    ])
    assert.match(summary.trials[2]!.stop!.reason, /2 of 2 completed trials were better/)
  })

  it("says what it does, and refuses what makes no sense", () => {
    assert.strictEqual(
      PercentileStopping.make({ every: 1, max: 30, percentile: 25, from: 3, unit: "epochs" }).description,
      "every trial through 1, 2, ..., 30 epochs, until more than 25 percent of the completed trials were better " +
        "(from 5 of them and budget 3 on)"
    )
    for (const percentile of [-1, 100, Number.NaN]) {
      assert.throws(() => PercentileStopping.rule({ percentile }), InvalidStudy, /study, percentile/)
    }
  })
})

describe("Patience", () => {
  it("stops a trial that has not improved for some rungs, unless it leads", () => {
    const scheduler = StoppingRules.make({ every: 1, max: 5, rules: [Patience.rule({ rungs: 2 })] })
    assert.deepStrictEqual(
      study(scheduler, [
        // Nothing gets better, but nobody else is there to be better.
        [3, 3, 3, 3, 3],
        [5, 6, 5],
        // Each second rung brings a new best.
        [9, 9, 8, 8, 7],
        [9, 8, 8, 9]
      ]),
      [
        [5, "completed"],
        [3, "not improved in 2 rungs: 5 before, 5 up to rung 2 (budget 3)"],
        [5, "completed"],
        [4, "not improved in 2 rungs: 8 before, 8 up to rung 3 (budget 4)"]
      ]
    )
  })

  it("asks for an improvement of `delta`, in the direction of the objective", () => {
    const scheduler = StoppingRules.make({
      every: 1,
      max: 5,
      rules: [Patience.rule({ rungs: 1, delta: 0.5, from: 3 })]
    })
    assert.deepStrictEqual(
      study(scheduler, [
        [9, 9, 9, 9, 9],
        // Below budget 3 nothing is asked; then 0.5 is enough and 0.4 is not.
        [1, 1, 1.5, 1.9],
        [1, 2, 3, 4, 5]
      ], "maximize"),
      [
        [5, "completed"],
        [4, "not improved by 0.5 in one rung: 1.5 before, 1.9 up to rung 3 (budget 4)"],
        [5, "completed"]
      ]
    )
  })

  it("refuses what makes no sense", () => {
    for (const rungs of [0, 1.5, Number.NaN]) {
      assert.throws(() => Patience.rule({ rungs }), InvalidStudy, /study, rungs/)
    }
    for (const delta of [-1, Infinity, Number.NaN]) {
      assert.throws(() => Patience.rule({ rungs: 1, delta }), InvalidStudy, /study, delta/)
    }
  })
})

describe("Threshold", () => {
  it("stops a trial above or below a bound in the objective's own values", () => {
    const rule = Threshold.rule({ above: 10, below: -1 })
    const scheduler = StoppingRules.make({ budgets: [1, 2], rules: [rule] })
    const expected = [
      [2, "completed"],
      [1, "its value, 10.5, is above 10 at rung 0 (budget 1)"],
      [1, "its value, -2, is below -1 at rung 0 (budget 1)"],
      [2, "completed"]
    ]
    for (const direction of ["minimize", "maximize"] as const) {
      // At the last rung there is nothing to stop.
      assert.deepStrictEqual(study(scheduler, [[10, 10], [10.5], [-2], [-1, 99]], direction), expected)
    }
  })

  it("speaks from a budget on", () => {
    const rule = Threshold.rule({ below: 0.5, from: 3 })
    const scheduler = StoppingRules.make({ budgets: [1, 3, 9], rules: [rule] })
    const found = study(scheduler, [[0.1, 0.6, 0.9], [0.1, 0.4]], "maximize")
    assert.deepStrictEqual(found[1], [2, "its value, 0.4, is below 0.5 at rung 1 (budget 3)"])
    assert.strictEqual(rule.description, "its value is below 0.5 (from budget 3 on)")
  })

  it("refuses what makes no sense", () => {
    assert.throws(() => Threshold.rule({}), InvalidStudy, /neither `above` nor `below`/)
    assert.throws(() => Threshold.rule({ above: Number.NaN }), InvalidStudy, /study, above/)
    assert.throws(() => Threshold.rule({ below: -Infinity }), InvalidStudy, /study, below/)
    assert.throws(() => Threshold.rule({ above: 1, below: 2 }), InvalidStudy, /study, below: found 2/)
  })
})

describe("StoppingRules", () => {
  const rules = [Threshold.rule({ above: 10 }), Patience.rule({ rungs: 1 })]

  it("stops a trial as soon as one rule says so, with the reason of the first that does", () => {
    const scheduler = StoppingRules.make({ every: 1, max: 3, rules })
    const found = study(scheduler, [[1, 1, 1], [2, 2], [11], [9, 11]])
    assert.deepStrictEqual(found.map(([rungs]) => rungs), [3, 2, 1, 2])
    assert.match(String(found[1]![1]), /not improved/)
    assert.match(String(found[3]![1]), /above 10/)
    assert.strictEqual(
      scheduler.description,
      "every trial through 1, 2, 3, until its value is above 10, or it has not improved in one rung"
    )
  })

  it("vetoes the promotions of another scheduler", () => {
    const inner = SuccessiveHalving.make({ budgets: [1, 3], reduction: 2 })
    const scheduler = StoppingRules.make({ scheduler: inner, rules: [Threshold.rule({ below: 0.5 })] })
    assert.strictEqual(
      scheduler.description,
      "successive halving at 1, 3, the best 1 in 2 go on; a trial also stops when its value is below 0.5"
    )
    // The best two of four would go on; one of them is too good to be true.
    assert.deepStrictEqual(study(scheduler, [[0.1], [3], [1, 1], [2]]), [
      [1, "its value, 0.1, is below 0.5 at rung 0 (budget 1)"],
      [1, "place 4 of 4 at rung 0 (budget 1); the best 2 went on"],
      [2, "completed"],
      [1, "place 3 of 4 at rung 0 (budget 1); the best 2 went on"]
    ])
    // Where a trial must reach the last rung, the next one does.
    const asha = StoppingRules.make({
      scheduler: Asha.make({ budgets: [1, 3] }),
      rules: [Threshold.rule({ below: 0.5 })]
    })
    assert.deepStrictEqual(study(asha, [[0.1], [3, 3]]).map(([rungs]) => rungs), [1, 2])
  })

  it("starts no trial that a limited budget could not complete, and gives what the stopped ones leave to others", () => {
    const run = (rule: StoppingRules.Rule) =>
      simulate(
        {
          space,
          sampler: RandomSampler.make(),
          scheduler: StoppingRules.make({ every: 1, max: 4, rules: [rule] }),
          goal: Goal.single("minimize"),
          seed: 1,
          budget: 10,
          parallelism: 3
        },
        (job) => ({ _tag: "Completed", values: [job.trial] }),
        { concurrency: 2 }
      ).summary
    const never = run(Threshold.rule({ above: 1000 }))
    assert.deepStrictEqual([never.completed, never.trials.length, never.spent], [2, 2, 8])
    // All but the first stop after one epoch: 4 for the first, 1 each for the others while 4 are left.
    const mostly = run(Threshold.rule({ above: 0 }))
    assert.deepStrictEqual([mostly.completed, mostly.stopped, mostly.spent], [1, 3, 7])
  })

  it.prop(
    "never stops below its budget, before its number of trials, or at the last rung",
    {
      seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })),
      after: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 })),
      from: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))
    },
    ({ seed, after, from }) => {
      for (
        const make of [MedianStopping.make, (o: object) => PercentileStopping.make({ percentile: 10, ...o } as never)]
      ) {
        const { log, state, summary } = simulate(
          {
            space,
            sampler: RandomSampler.make(),
            scheduler: make({ every: 1, max: 6, after, from }),
            goal: Goal.single("minimize"),
            seed,
            trials: 16
          },
          (job) => ({ _tag: "Completed", values: [Math.sin(job.params.x * 99 + job.rung) + job.params.x] }),
          { concurrency: 3, delays: seed }
        )
        assert.isAtLeast(summary.completed, after)
        for (const decision of log) {
          if (decision._tag !== "Stop") continue
          const budget = state.trials[decision.trial]!.jobs.at(-1)!.budgets.at(-1)!
          assert.isAtLeast(budget, from)
          assert.isBelow(budget, 6)
          const before = state.jobs.filter((job) => job.rung === 5 && job.finish <= decision.at)
          assert.isAtLeast(before.length, after)
        }
      }
    }
  )

  it("refuses to be without rules or rungs", () => {
    assert.throws(() => StoppingRules.make({ every: 1, max: 3, rules: [] }), InvalidStudy, /study, rules/)
    assert.throws(() => StoppingRules.make({ every: 0, max: 3, rules }), InvalidStudy, /study, every/)
  })
})
