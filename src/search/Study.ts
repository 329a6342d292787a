/**
 * A study searches a space for the hyperparameters that do best: it makes a
 * trial of each proposal, runs the trials rung by rung, and yields the best one.
 *
 * It is a node itself. What a trial closes over is shared by all trials and runs
 * once; two trials that agree on what a stage reads share its run.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Codec from "../pipeline/Codec.ts"
import { describe, endsTheRun, NotPlanned } from "../pipeline/Errors.ts"
import * as Node from "../pipeline/Node.ts"
import type { StudyOutcome, TrialOutcome } from "../pipeline/Progress.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import * as EarlierStudy from "./EarlierStudy.ts"
import * as Goal from "./Goal.ts"
import { InvalidStudy } from "./InvalidStudy.ts"
import * as Metric from "./Metric.ts"
import * as Rehearsal from "./Rehearsal.ts"
import type * as Sampler from "./Sampler.ts"
import * as Auto from "./samplers/Auto.ts"
import type * as Scheduler from "./Scheduler.ts"
import * as Space from "./space/Space.ts"
import * as StoredSpace from "./space/StoredSpace.ts"
import * as StudyResult from "./StudyResult.ts"
import * as Summary from "./Summary.ts"
import * as VirtualTime from "./VirtualTime.ts"

export { NoFeasibleTrial, NoTrialSucceeded } from "./StudyResult.ts"
export type { Best, Finalist, Result, Trial } from "./StudyResult.ts"

/** What a trial knows of its place in the study. */
export interface Rung {
  /** The budget of every rung up to and with this one: train to the last, passing a checkpoint at each. */
  readonly budgets: ReadonlyArray<number>
  /** The budget of the last rung, whichever this one is. */
  readonly horizon: number
  /**
   * The seed to train with: that of the study, and for a finalist that is trained
   * again the numbers after it. Repeats tell nothing of the noise unless the trial
   * uses it.
   */
  readonly seed: number
}

export interface Options<P extends Space.Params> {
  readonly space: Space.Space<P>
  /** Which trial gets more budget; its budgets are what `trial` is given. */
  readonly scheduler: Scheduler.Scheduler
  /** How many trials to start at most, the defaults included. Without it, as many as `budget` allows. */
  readonly trials?: number
  /** The budget of all trials together, in the unit of the scheduler's budgets. Unlimited by default. */
  readonly budget?: number
  /**
   * Ends the study after this time, with what has finished by then; what runs is
   * interrupted. How far it gets depends on the machine, so unlike the other
   * limits this one does not give the same study everywhere. The clock starts
   * anew when the study is resumed.
   */
  readonly wallClock?: Duration.Input
  /**
   * Starts no more trials once the sampler has expected less than this improvement
   * of the objective for so many proposals in a row (3 by default). For samplers
   * with a model that tells.
   */
  readonly until?: { readonly expectedImprovementBelow: number; readonly proposals?: number }
  /** Chosen by the space and the number of trials by default, see `Auto`. */
  readonly sampler?: Sampler.Sampler
  /** 0 by default. Everything the study draws follows from it. */
  readonly seed?: number
  /**
   * How many trials the study's virtual machine runs at once; 4 by default. It
   * is part of what the study decides, unlike the number that really run.
   */
  readonly parallelism?: number
  /** The hyperparameters of the first trials; by default the defaults of the space. */
  readonly first?: ReadonlyArray<P>
  /**
   * Earlier studies to start from: the nodes of others, or studies of the store
   * (`StoredStudy.make("name")`). Samplers with a model learn from their trials, the
   * less the more they disagree with this study's own.
   */
  readonly earlier?: ReadonlyArray<Node.Node<EarlierStudy.EarlierStudy, any, any>>
  /**
   * Trains the best trials again in the end, each this many times with other
   * seeds, and chooses between them by that. Off by default.
   */
  readonly finalists?: { readonly trials: number; readonly repeats: number }
}

/** The goal that options name, checked against what a trial puts out. */
const goalOf = (options: Metric.Aim<any>, output: Schema.Top): Goal.Goal => {
  const { limits = {}, maximize, minimize, objectives } = options as {
    readonly minimize?: string
    readonly maximize?: string
    readonly objectives?: Readonly<Record<string, Goal.Direction>>
    readonly limits?: Readonly<Record<string, Metric.Bounds>>
  }
  const named: ReadonlyArray<Goal.Objective> = [
    ...(minimize === undefined ? [] : [{ metric: minimize, direction: "minimize" as const }]),
    ...(maximize === undefined ? [] : [{ metric: maximize, direction: "maximize" as const }]),
    ...Object.entries(objectives ?? {}).map(([metric, direction]) => ({ metric, direction }))
  ]
  const [first, ...others] = named
  // The compiler refuses these, for those who ask it.
  if (first === undefined) {
    const expected = "`minimize`, `maximize` or `objectives`"
    throw new InvalidStudy({ option: "objective", found: "none", expected })
  }
  const check = (option: string, metric: string) => {
    if (Metric.mayHave(output, metric)) return
    const paths = Metric.pathsOf(output)
    throw new InvalidStudy({
      option,
      found: `"${metric}", which is no number that a trial puts out`,
      expected: paths.length === 0 ? "a trial that puts out a number" : `one of ${paths.join(", ")}`
    })
  }
  for (const { direction, metric } of named) check(objectives === undefined ? direction : "objectives", metric)
  for (const [metric, { max, min }] of Object.entries(limits)) {
    check("limits", metric)
    const bounded = [min, max].filter((bound) => bound !== undefined)
    if (bounded.length === 0 || !bounded.every(Number.isFinite) || (bounded.length === 2 && min! > max!)) {
      const found = `min ${min ?? "(none)"} and max ${max ?? "(none)"}`
      const expected = "a finite `min` or `max`, min not above max"
      throw new InvalidStudy({ option: `limits, ${metric}`, found, expected })
    }
  }
  return {
    objectives: [first, ...others],
    limits: Object.entries(limits).map(([metric, bounds]) => ({ metric, ...bounds }))
  }
}

/**
 * A study as a node.
 *
 * `trial` turns hyperparameters and a rung into the node to run. It must be
 * pure: it is also called once, at the defaults of the space, to learn what a
 * trial puts out and to draw the graph.
 *
 * A failing trial is a row of the result, it does not fail the study: the
 * trial's errors are discharged here. What is left is `NoTrialSucceeded`,
 * `NoFeasibleTrial` where limits are set and none keeps them, what keeps
 * earlier studies from being read, and `InvalidStudy` for one that cannot be
 * started from. A store that fails ends the run all the same.
 *
 * Throws `InvalidStudy` at once for options that cannot be used.
 */
export const make = <
  P extends Space.Params,
  N extends Node.Any,
  E extends ReadonlyArray<Node.Node<EarlierStudy.EarlierStudy, any, any>> = []
>(
  name: string,
  options:
    & Omit<Options<P>, "earlier">
    & { readonly earlier?: E }
    // The node as a whole is inferred from `trial`, not its output alone: the
    // objective would otherwise fix the output before the trial is looked at.
    & { readonly trial: (params: P, rung: Rung) => N }
    & Metric.Aim<NoInfer<Node.Success<N>>>
): Node.Node<
  StudyResult.Result<P, Node.Success<N>>,
  | StudyResult.NoTrialSucceeded
  | StudyResult.NoFeasibleTrial
  | (E extends readonly [] ? never : InvalidStudy)
  | Node.Error<E[number]>,
  Node.Services<N> | Node.Services<E[number]>
> => {
  type A = Node.Success<N>
  const { scheduler, space } = options
  const seed = options.seed ?? 0
  const horizon = scheduler.budgets.at(-1)!
  const defaults = Space.defaults(space)
  const template = options.trial(defaults, { budgets: [horizon], horizon, seed })
  const goal = goalOf(options, template.output)
  const { direction, metric } = goal.objectives[0]
  const metrics = Goal.metrics(goal)
  const earlier: ReadonlyArray<Node.Any> = options.earlier ?? []
  const engine: VirtualTime.Options<P> = {
    space,
    sampler: options.sampler ?? Auto.make(),
    scheduler,
    goal,
    seed,
    enqueued: options.first ?? [defaults],
    ...(options.trials === undefined ? {} : { trials: options.trials }),
    ...(options.budget === undefined ? {} : { budget: options.budget }),
    ...(options.parallelism === undefined ? {} : { parallelism: options.parallelism }),
    ...(options.finalists === undefined ? {} : { finalists: options.finalists }),
    ...(options.until === undefined ? {} : { until: { proposals: 3, ...options.until } })
  }
  const { sampler, trials } = VirtualTime.make(engine).options
  const wallClock = options.wallClock === undefined ? undefined : Duration.fromInputUnsafe(options.wallClock)

  const storedSpace = StoredSpace.encode(space) as unknown as Schema.Json

  const metricsOf = (output: A | undefined): Effect.Effect<Readonly<Record<string, number>>> =>
    output === undefined
      ? Effect.succeed({})
      : Codec.encode(template.output, output).pipe(Effect.orDie, Effect.map(Metric.metricsOf))

  const run = Effect.fnUntraced(
    function*(context: Node.ExpansionContext): Effect.fn.Return<StudyResult.Result<P, A>, unknown, any> {
      const studies: Array<EarlierStudy.Reading> = []
      for (const node of earlier) {
        const study = (yield* context.run(node, name)) as EarlierStudy.EarlierStudy
        studies.push(yield* readEarlier(study, { space, name, direction }))
      }
      yield* context.emit({
        _tag: "study.started",
        study: name,
        trials: Number.isFinite(trials) ? trials : undefined,
        metric,
        direction,
        metrics,
        goal,
        seed,
        horizon,
        expectedCost: options.budget ?? Rehearsal.expectedCost({ ...engine, sampler }),
        scheduler: scheduler.description,
        sampler: sampler.description,
        space: storedSpace,
        reused: studies.map(({ reused }) => reused)
      })
      const results = yield* Queue.unbounded<
        { readonly job: VirtualTime.Job<P>; readonly exit: Exit.Exit<A, unknown> } | "the time is up"
      >()
      /** The node of each rung a trial has run, and the number of the first node made for it. */
      const nodes = new Map<number, { readonly since: number; readonly rungs: Array<Node.Any> }>()
      const outputs = new Map<number, A>()
      const running = new Map<VirtualTime.Job<P>, Fiber.Fiber<unknown, unknown>>()

      const startJob = Effect.fnUntraced(function*(job: VirtualTime.Job<P>) {
        const made = nodes.get(job.trial) ?? { since: Node.nextId(), rungs: [] }
        nodes.set(job.trial, made)
        const { budgets, cost, params, repeat, rung, trial } = job
        const exit = yield* Effect.suspend(() => {
          const node = options.trial(params, { budgets, horizon, seed: seed + repeat })
          made.rungs.push(node)
          return context.run(node, ownerOf(name, trial)) as Effect.Effect<A, unknown, any>
        }).pipe(Effect.exit)
        const about = { study: name, trial, rung, repeat, budget: budgets.at(-1)!, cost }
        if (Exit.isSuccess(exit)) {
          const values = metrics.map((metric) => Metric.read(exit.value, metric))
          yield* context.emit({ _tag: "trial.completed", ...about, value: values[0]!, values })
        } else {
          const error = Cause.squash(exit.cause)
          if (!endsTheRun(error)) yield* context.emit({ _tag: "trial.failed", ...about, message: describe(error) })
        }
        yield* Queue.offer(results, { job, exit })
      })

      if (wallClock !== undefined) {
        yield* Effect.forkChild(Effect.delay(Queue.offer(results, "the time is up"), wallClock))
      }
      let state = VirtualTime.make<P>({ ...engine, earlier: studies.map(({ earlier }) => earlier) })
      let unplanned: NotPlanned | undefined
      while (!VirtualTime.isDone(state)) {
        const decided = VirtualTime.next(state)
        state = decided.state
        if (unplanned === undefined) {
          for (const job of decided.jobs) {
            yield* context.emit({
              _tag: "trial.started",
              study: name,
              trial: job.trial,
              rung: job.rung,
              repeat: job.repeat,
              budget: job.budgets.at(-1)!,
              origin: job.origin,
              params: job.params
            })
            running.set(job, yield* Effect.forkChild(startJob(job)))
          }
        }
        if (running.size === 0) break
        const result = yield* Queue.take(results)
        if (result === "the time is up") {
          const reason = `the time of ${Duration.format(wallClock!)} was up`
          yield* Fiber.interruptAll(running.values())
          state = VirtualTime.close(state, reason)
          for (const job of running.keys()) state = VirtualTime.tell(state, job, { _tag: "Cancelled", reason })
          break
        }
        const { exit, job } = result
        running.delete(job)
        if (Exit.isSuccess(exit)) {
          const values = metrics.map((metric) => Metric.read(exit.value, metric))
          // A trial is reported with the output that its value is of.
          if (job.repeat === 0 && values.every(Number.isFinite)) outputs.set(job.trial, exit.value)
          state = VirtualTime.tell(state, job, { _tag: "Completed", values })
          continue
        }
        const error = Cause.squash(exit.cause)
        // A plan goes on through the trials already asked for, then stops: what the
        // study would decide next depends on results that are not there.
        if (error instanceof NotPlanned) unplanned ??= error
        else if (endsTheRun(error)) return yield* Effect.fail(error)
        else state = VirtualTime.tell(state, job, { _tag: "Failed", reason: describe(error) })
      }
      if (unplanned !== undefined) return yield* unplanned

      const summary = Summary.make(state)
      const front = new Set(summary.front.map(({ trial }) => trial))
      const outcome: StudyOutcome = {
        study: name,
        metric,
        direction,
        metrics,
        goal,
        seed,
        sampler: sampler.description,
        scheduler: scheduler.description,
        space: storedSpace,
        spent: summary.spent,
        fullCost: summary.fullCost,
        spentOnFinalists: summary.spentOnFinalists,
        finalists: (summary.finalists?.finalists ?? []).map(({ mean, standardError, trial, values }) => ({
          trial,
          trainings: values.filter((value) => value !== undefined).length,
          mean,
          standardError
        })),
        indistinguishable: summary.finalists?.indistinguishable ?? [],
        ended: summary.ended,
        selected: summary.best?.trial,
        trials: yield* Effect.forEach(summary.trials, (trial) => {
          const ran = nodes.get(trial.trial)
          const runs = ran === undefined ? [] : context.stageRuns(ran.rungs, ran.since)
          return Effect.map(
            metricsOf(outputs.get(trial.trial)),
            (metrics) => trialOutcome(trial, front.has(trial.trial), metrics, runs)
          )
        })
      }
      yield* context.emit({ _tag: "study.completed", study: name, outcome })
      return yield* StudyResult.of(summary, {
        study: name,
        goal,
        outputs,
        sampler: sampler.description,
        scheduler: scheduler.description,
        seed,
        reused: studies.map(({ reused }) => reused)
      })
    }
  )

  return Node.make(name, StudyResult.schema(space.schema, template.output), {
    _tag: "Expand",
    expand: { template, sources: earlier, run }
  })
}

/** That a study cannot be started from is found when it has been read: an error of this study, not a defect. */
const readEarlier = (
  ...args: Parameters<typeof EarlierStudy.read>
): Effect.Effect<EarlierStudy.Reading, InvalidStudy> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(EarlierStudy.read(...args))
    } catch (error) {
      if (error instanceof InvalidStudy) return Effect.fail(error)
      throw error
    }
  })

const trialOutcome = (
  trial: Summary.Trial,
  onFront: boolean,
  metrics: Readonly<Record<string, number>>,
  runs: ReadonlyArray<RunRecord>
): TrialOutcome => ({
  trial: trial.trial,
  origin: trial.origin,
  status: StudyResult.statusOf(trial),
  params: trial.params,
  budget: trial.budget,
  value: trial.value,
  feasible: trial.feasible,
  onFront,
  repeats: trial.repeats,
  metrics,
  error: trial.failure?.reason,
  rungs: trial.values,
  virtualStart: trial.start,
  virtualFinish: trial.finish,
  runs
})

const ownerOf = (study: string, trial: number) => `${study} trial ${trial}`
