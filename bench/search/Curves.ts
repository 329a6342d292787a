/**
 * Schedulers on learning curves that are known: what a study has found after so
 * much budget, in units of one full training.
 *
 * One study at a time, on one virtual worker. A trial that was given up counts
 * with what it spent, and only trials that were trained to the end count as
 * found. The regret is normalised as everywhere; it is 1, that of the median
 * configuration, as long as no trial has been to the end.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import * as Random from "../../src/random/Random.ts"
import * as Goal from "../../src/search/Goal.ts"
import type * as Sampler from "../../src/search/Sampler.ts"
import * as GaussianProcessSampler from "../../src/search/samplers/GaussianProcessSampler.ts"
import * as RandomSampler from "../../src/search/samplers/RandomSampler.ts"
import * as TreeParzen from "../../src/search/samplers/TreeParzen.ts"
import type * as Scheduler from "../../src/search/Scheduler.ts"
import * as Asha from "../../src/search/schedulers/Asha.ts"
import * as FreezeThaw from "../../src/search/schedulers/FreezeThaw.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as Hyperband from "../../src/search/schedulers/Hyperband.ts"
import * as MedianStopping from "../../src/search/schedulers/MedianStopping.ts"
import * as PercentileStopping from "../../src/search/schedulers/PercentileStopping.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as VirtualTime from "../../src/search/VirtualTime.ts"
import * as Loop from "./Loop.ts"
import * as Problem from "./Problem.ts"
import * as Tables from "./Tables.ts"

/** Configurations with a loss at every checkpoint, searched without repeats. */
export interface Task {
  readonly name: string
  readonly minimum: number
  /** The median of the final losses. */
  readonly reference: number
  readonly size: number
  readonly checkpoints: number
  readonly curve: (index: number) => ArrayLike<number>
  /** Where the configurations have hyperparameters that a sampler can learn from. */
  readonly pool?: Tables.Pool
}

/** Curves of other shapes than those of the tables. The loss is NaN where a trial diverges. */
const shapes: Readonly<Record<string, (draw: Random.Random) => (step: number) => number>> = {
  /** Power laws with noise. */
  power: (draw) => {
    const end = 0.1 + 0.3 * Math.abs(draw.normal()), height = 1 - 0.3 * draw.uniform(), rate = 0.2 + draw.uniform()
    return (step) => end + height * step ** -rate + 0.01 * draw.normal()
  },
  /** Those that fall fast end higher. */
  crossing: (draw) => {
    const speed = draw.uniform(), end = 0.1 + 0.25 * speed + 0.3 * draw.uniform()
    return (step) => end + (1 - end) * Math.exp(-Math.exp(3 * speed - 3) * step / 3) + 0.01 * draw.normal()
  },
  /** A plateau, which half of them leave, sooner or later. */
  late: (draw) => {
    const falls = draw.uniform() < 0.5, from = 1 + 30 * draw.uniform() ** 2
    const end = 0.2 + 0.6 * draw.uniform(), slowness = 1 + 4 * draw.uniform()
    return (step) => {
      const share = falls
        ? (1 - Math.exp(-(Math.max(0, step - from) + 2) / 12)) / (1 + Math.exp((from - step) / slowness))
        : 0
      return 1 - (1 - end) * share + 0.005 * draw.normal()
    }
  },
  /** As much noise as there is between neighbours in rank. */
  noisy: (draw) => {
    const end = 0.3 + 0.3 * draw.uniform(), time = 2 + 10 * draw.uniform()
    return (step) => end + 0.5 * Math.exp(-step / time) + 0.05 * draw.normal()
  },
  /** Half of them rise again, the fast ones more. */
  overfit: (draw) => {
    const rate = 0.02 + 0.4 * draw.uniform(), end = 0.3 + 0.4 * draw.uniform(), rises = draw.uniform() < 0.5
    return (step) =>
      end + 0.6 * Math.exp(-rate * step) + (rises ? rate * Math.max(0, step - 15) / 100 : 0) + 0.01 * draw.normal()
  },
  /** An error rate over 200 examples. */
  errors: (draw) => {
    const end = 0.05 + 0.4 * draw.uniform() ** 2, rate = 0.3 + draw.uniform()
    return (step) => {
      const share = end + 0.5 * step ** -rate + 0.02 * draw.normal()
      return Math.round(200 * Math.min(1, Math.max(0, share))) / 200
    }
  },
  /** Losses over three orders of magnitude, 15 % of which diverge. */
  scales: (draw) => {
    const height = Math.exp(6 * draw.uniform()), rate = 0.5 + draw.uniform()
    const until = draw.uniform() < 0.15 ? 20 * draw.uniform() : Infinity
    return (step) => step > until ? NaN : height * (0.05 + step ** -rate) * Math.exp(0.05 * draw.normal())
  }
}

const configurations = 1000

const synthetic: ReadonlyArray<Task> = Object.entries(shapes).map(([name, shape]) => {
  const checkpoints = 50
  const curves = Array.from({ length: configurations }, (_, i) => {
    const loss = shape(Random.make(1, `curves/${name}`, i))
    return Float64Array.from({ length: checkpoints }, (_, step) => loss(step + 1))
  })
  const ends = Float64Array.from(curves, (curve) => Number.isNaN(curve.at(-1)!) ? Infinity : curve.at(-1)!)
  return {
    name: `synthetic ${name}`,
    minimum: ends.reduce((least, end) => Math.min(least, end)),
    reference: Problem.median(ends),
    size: configurations,
    checkpoints,
    curve: (index) => curves[index]!
  }
})

/** The samplers: `uniform` draws a configuration without regard to its hyperparameters. */
const samplers: Readonly<Record<string, () => Sampler.Sampler>> = {
  uniform: RandomSampler.make,
  tpe: () => TreeParzen.make(),
  gp: () => GaussianProcessSampler.make()
}

/** The schedulers, for curves of so many checkpoints. */
const schedulers: Readonly<Record<string, (checkpoints: number) => Scheduler.Scheduler>> = {
  full: (max) => FullBudget.make(max),
  median: (max) => MedianStopping.make({ every: 1, max }),
  percentile: (max) => PercentileStopping.make({ every: 1, max, percentile: 25 }),
  halving: (max) => SuccessiveHalving.make({ min: 1, max }),
  hyperband: (max) => Hyperband.make({ min: 1, max }),
  asha: (max) => Asha.make({ min: 1, max }),
  "asha-2": (max) => Asha.make({ min: 1, max, reduction: 2 }),
  "freeze-thaw": (max) => FreezeThaw.make({ min: 1, max })
}

/** The nearest configuration of the pool that no trial has, in the place of what a sampler proposes. */
const nearest = (inner: Sampler.Sampler, pool: Tables.Pool, space: Space.Space): Sampler.Sampler => {
  const keys = pool.params.map((params) => space.key(params))
  const mapped = (sampler: Sampler.Sampler): Sampler.Sampler => ({
    ...sampler,
    size: () => pool.size,
    propose: (context) => {
      const proposal = sampler.propose(context)
      if (proposal === undefined) return undefined
      const index = pool.nearest(proposal.params, (index) => !context.proposed.has(keys[index]!))
      return index < 0 ? undefined : { ...proposal, params: pool.params[index]! }
    }
  })
  return { ...mapped(inner), resolve: (problem) => mapped(inner.resolve?.(problem) ?? inner) }
}

export interface Played {
  /** The normalised regret at each mark. */
  readonly regrets: ReadonlyArray<number>
  readonly trials: number
  readonly completed: number
  /** Milliseconds in all of the scheduler's decisions, and how many there were. */
  readonly milliseconds: number
  readonly decisions: number
}

/** Plays a study to the last mark. `marks` are in units of a full training, ascending. */
export const play = (
  task: Task,
  sampler: Sampler.Sampler,
  scheduler: Scheduler.Scheduler,
  seed: number,
  marks: ReadonlyArray<number>,
  /** Whether the scheduler knows that the study ends at the last mark. */
  knowsEnd: boolean
): Played => {
  const { checkpoints, minimum, reference } = task
  const uniform = sampler.name === "random"
  const space: Space.Space = uniform || task.pool === undefined
    ? Space.make({ configuration: Space.integer(0, task.size - 1) })
    : Loop.spaceOf(task.pool)
  const indexOf = new Map(uniform ? [] : task.pool?.params.map((params, index) => [space.key(params), index]))
  const index = (params: Space.Params) => uniform ? params.configuration as number : indexOf.get(space.key(params))!
  let milliseconds = 0, decisions = 0
  const timed: Scheduler.Scheduler = {
    ...scheduler,
    decide: (view) => {
      const before = performance.now()
      try {
        return scheduler.decide(knowsEnd ? view : { ...view, remaining: Infinity })
      } finally {
        milliseconds += performance.now() - before
        decisions++
      }
    }
  }
  let state = VirtualTime.make({
    space,
    sampler: uniform ? sampler : nearest(sampler, task.pool!, space),
    scheduler: timed,
    goal: Goal.single("minimize"),
    seed,
    budget: marks.at(-1)! * checkpoints,
    parallelism: 1
  })
  while (!VirtualTime.isDone(state)) {
    const decided = VirtualTime.next(state)
    state = decided.state
    if (decided.jobs.length === 0) break
    for (const job of decided.jobs) {
      const value = task.curve(index(job.params))[job.budgets.at(-1)! - 1]!
      state = VirtualTime.tell(
        state,
        job,
        Number.isNaN(value) ? { _tag: "Failed", reason: "diverged" } : { _tag: "Completed", values: [value] }
      )
    }
  }
  const ends = state.jobs.filter((job) => job.budgets.at(-1) === checkpoints).map((job) => ({
    finish: job.finish,
    loss: task.curve(index(job.params))[checkpoints - 1]!
  }))
  return {
    regrets: marks.map((mark) => {
      const best = ends.reduce(
        (least, { finish, loss }) => finish <= mark * checkpoints && loss < least ? loss : least,
        Infinity
      )
      return best === Infinity ? 1 : (best - minimum) / (reference - minimum)
    }),
    trials: state.trials.length,
    completed: ends.length,
    milliseconds,
    decisions
  }
}

const marks = [5, 10, 16, 25, 50]

const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length

/**
 * `--schedulers asha,freeze-thaw --samplers uniform,tpe --tasks synthetic --seeds 20 --planned`: with `--planned` each
 * mark is a study of its own that knows when it ends, otherwise they are moments of one study that does not.
 */
export const run = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      schedulers: { type: "string" },
      samplers: { type: "string", default: "uniform" },
      tasks: { type: "string", default: "" },
      seeds: { type: "string", default: "20" },
      planned: { type: "boolean", default: false }
    },
    args: process.argv.slice(2),
    allowPositionals: true
  })
  const tables = await Effect.runPromise(Tables.fromEnvironment.pipe(Effect.provide(NodeServices.layer)))
  const pools = (tables?.pools ?? []).map((pool): Task => ({ ...pool, pool }))
  const all = [...pools, ...synthetic]
  const chosen = all.filter(({ name }) => name.includes(values.tasks))
  const among = <A>(all: Readonly<Record<string, A>>, wanted: string | undefined) =>
    Object.entries(all).filter(([name]) => wanted === undefined || wanted.split(",").includes(name))
  const line = (task: string, label: string, regrets: ReadonlyArray<number>, rest: string) =>
    process.stdout.write(
      `${task.padEnd(42)}${label.padEnd(24)}${regrets.map((regret) => regret.toFixed(3).padStart(8)).join("")}${rest}\n`
    )
  process.stdout.write(
    `${"".padEnd(66)}${marks.map((mark) => `${mark} units`.padStart(8)).join("")}  trials  to the end  a decision\n`
  )
  for (const [samplerName, sampler] of among(samplers, values.samplers)) {
    for (const [schedulerName, scheduler] of among(schedulers, values.schedulers)) {
      const label = `${samplerName}, ${schedulerName}`
      const groups = new Map<string, Array<ReadonlyArray<number>>>()
      for (const task of chosen) {
        if (samplerName !== "uniform" && task.pool === undefined) continue
        // The pools list the same configurations, which should not come in the same order in all of them.
        const first = 1000 * all.indexOf(task)
        const once = (seed: number, marks: ReadonlyArray<number>) =>
          play(task, sampler(), scheduler(task.checkpoints), first + seed, marks, values.planned)
        const played = Array.from({ length: Number(values.seeds) }, (_, seed): Played => {
          if (!values.planned) return once(seed, marks)
          const each = marks.map((mark) => once(seed, [mark]))
          return { ...each.at(-1)!, regrets: each.map(({ regrets }) => regrets[0]!) }
        })
        const regrets = marks.map((_, i) => mean(played.map(({ regrets }) => regrets[i]!)))
        const kind = task.name.split(" ")[0]!
        groups.set(kind, [...(groups.get(kind) ?? []), regrets])
        const trials = mean(played.map(({ trials }) => trials)),
          completed = mean(played.map(({ completed }) => completed))
        const cost = mean(played.map(({ decisions, milliseconds }) => milliseconds / decisions))
        line(
          task.name,
          label,
          regrets,
          `${trials.toFixed(0).padStart(8)}${completed.toFixed(1).padStart(12)}${cost.toFixed(2).padStart(9)} ms`
        )
      }
      for (const [kind, rows] of groups) {
        line(`mean of ${rows.length} ${kind}`, label, marks.map((_, i) => mean(rows.map((row) => row[i]!))), "")
      }
    }
  }
}
