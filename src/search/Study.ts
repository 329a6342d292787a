/**
 * A study searches a space for the hyperparameters that do best: it makes a
 * trial of each proposal, runs the trials rung by rung, and yields the best one.
 *
 * It is a node itself. What a trial closes over is shared by all trials and runs
 * once; two trials that agree on what a stage reads share its run.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Codec from "../pipeline/Codec.ts"
import { describe, endsTheRun, NotPlanned } from "../pipeline/Errors.ts"
import * as Node from "../pipeline/Node.ts"
import type { StudyOutcome, TrialOutcome } from "../pipeline/Progress.ts"
import { Selection } from "../pipeline/Selection.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import { InvalidStudy } from "./InvalidStudy.ts"
import * as Objective from "./Objective.ts"
import * as Rehearsal from "./Rehearsal.ts"
import type * as Sampler from "./Sampler.ts"
import type * as Scheduler from "./Scheduler.ts"
import * as Sobol from "./Sobol.ts"
import * as Space from "./Space.ts"
import * as Summary from "./Summary.ts"
import * as VirtualTime from "./VirtualTime.ts"

/** What a trial knows of its place in the study. */
export interface Rung {
  /** The budget of every rung up to and with this one: train to the last, passing a checkpoint at each. */
  readonly budgets: ReadonlyArray<number>
  /** The budget of the last rung, whichever this one is. */
  readonly horizon: number
}

/** No trial of the study gave a finite value of its objective. */
export class NoTrialSucceeded extends Schema.TaggedError<NoTrialSucceeded>()("NoTrialSucceeded", {
  study: Schema.String,
  trials: Schema.Int,
  /** Why the first of them failed. */
  firstFailure: Schema.String
}) {
  override get message(): string {
    return `All ${this.trials} trials of the study "${this.study}" failed. The first: ${this.firstFailure}`
  }
}

/** One trial, as a study reports it. */
export interface Trial<out P, out A> {
  readonly trial: number
  readonly status: "completed" | "stopped" | "failed"
  readonly params: P
  /** The budget it was given in all. */
  readonly budget: number
  /** The objective at that budget; `null` for a trial that never had one. */
  readonly value: number | null
  /** Its output at that budget. */
  readonly output: A | null
  readonly error: string | null
}

export interface Best<out P, out A> {
  readonly trial: number
  readonly params: P
  readonly budget: number
  readonly value: number
  readonly output: A
}

export interface Result<out P, out A> {
  readonly best: Best<P, A>
  readonly trials: ReadonlyArray<Trial<P, A>>
  /** With this the test split can be opened. */
  readonly selection: Selection
  /** The budget that all trials were given together. */
  readonly spent: number
  /** What the same trials would have cost at the full horizon each. */
  readonly fullCost: number
  /** How it searched; sampler and scheduler in words. */
  readonly search: {
    readonly direction: "maximize" | "minimize"
    readonly sampler: string
    readonly scheduler: string
    readonly seed: number
  }
}

const resultSchema = <P, A>(
  params: Schema.Codec<P, any>,
  output: Schema.Codec<A, any>
): Schema.Codec<Result<P, A>, any> =>
  Schema.Struct({
    best: Schema.Struct({ trial: Schema.Int, params, budget: Schema.Finite, value: Schema.Finite, output }),
    trials: Schema.Array(Schema.Struct({
      trial: Schema.Int,
      status: Schema.Literals(["completed", "stopped", "failed"]),
      params,
      budget: Schema.Finite,
      value: Schema.NullOr(Schema.Finite),
      output: Schema.NullOr(output),
      error: Schema.NullOr(Schema.String)
    })),
    selection: Selection,
    spent: Schema.Finite,
    fullCost: Schema.Finite,
    search: Schema.Struct({
      direction: Schema.Literals(["maximize", "minimize"]),
      sampler: Schema.String,
      scheduler: Schema.String,
      seed: Schema.Int
    })
  })

export interface Options<P extends Space.Params> {
  readonly space: Space.Space<P>
  /** Which trial gets more budget; its budgets are what `trial` is given. */
  readonly scheduler: Scheduler.Scheduler
  /** How many trials to start, the defaults included. */
  readonly trials: number
  /** Scrambled Sobol points by default. */
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
}

/**
 * A study as a node.
 *
 * `trial` turns hyperparameters and a rung into the node to run. It must be
 * pure: it is also called once, at the defaults of the space, to learn what a
 * trial puts out and to draw the graph.
 *
 * A failing trial is a row of the result, it does not fail the study: the
 * trial's errors are discharged here, and only `NoTrialSucceeded` is left. A
 * store that fails ends the run all the same.
 *
 * Throws `InvalidStudy` at once for options that cannot be used.
 */
export const make = <P extends Space.Params, N extends Node.Any>(
  name: string,
  options:
    & Options<P>
    // The node as a whole is inferred from `trial`, not its output alone: the
    // objective would otherwise fix the output before the trial is looked at.
    & { readonly trial: (params: P, rung: Rung) => N }
    & Objective.Objective<NoInfer<Node.Success<N>>>
): Node.Node<Result<P, Node.Success<N>>, NoTrialSucceeded, Node.Services<N>> => {
  type A = Node.Success<N>
  const { scheduler, space } = options
  const horizon = scheduler.budgets.at(-1)!
  const defaults = Space.defaults(space)
  const direction = options.minimize === undefined ? "maximize" : "minimize"
  const metric = (options.minimize ?? options.maximize) as string | undefined
  const sampler = options.sampler ?? Sobol.make()
  const engine = VirtualTime.make({
    space,
    sampler,
    scheduler,
    direction,
    seed: options.seed ?? 0,
    trials: options.trials,
    ...(options.parallelism === undefined ? {} : { parallelism: options.parallelism }),
    enqueued: options.first ?? [defaults]
  })
  const template = options.trial(defaults, { budgets: [horizon], horizon })
  // The compiler refuses both, for those who ask it.
  if (metric === undefined) {
    throw new InvalidStudy({ option: "objective", found: "none", expected: "`minimize` or `maximize`" })
  }
  if (!Objective.mayHave(template.output, metric)) {
    const paths = Objective.pathsOf(template.output)
    throw new InvalidStudy({
      option: direction,
      found: `"${metric}", which is no number that a trial puts out`,
      expected: paths.length === 0 ? "a trial that puts out a number" : `one of ${paths.join(", ")}`
    })
  }

  const metricsOf = (output: A | undefined): Effect.Effect<Readonly<Record<string, number>>> =>
    output === undefined
      ? Effect.succeed({})
      : Codec.encode(template.output, output).pipe(Effect.orDie, Effect.map(Objective.metricsOf))

  const run = Effect.fnUntraced(
    function*(context: Node.ExpansionContext): Effect.fn.Return<Result<P, A>, unknown, any> {
      yield* context.emit({
        _tag: "study.started",
        study: name,
        trials: options.trials,
        metric,
        direction,
        seed: options.seed ?? 0,
        horizon,
        expectedCost: Rehearsal.expectedCost(engine),
        scheduler: scheduler.description,
        sampler: sampler.description
      })
      const results = yield* Queue.unbounded<
        { readonly job: VirtualTime.Job<P>; readonly exit: Exit.Exit<A, unknown> }
      >()
      /** The node of each rung a trial has run, and the number of the first node made for it. */
      const nodes = new Map<number, { readonly since: number; readonly rungs: Array<Node.Any> }>()
      const outputs = new Map<number, A>()

      const startJob = Effect.fnUntraced(function*(job: VirtualTime.Job<P>) {
        const made = nodes.get(job.trial) ?? { since: Node.nextId(), rungs: [] }
        nodes.set(job.trial, made)
        const { budgets, params, rung, trial } = job
        const exit = yield* Effect.suspend(() => {
          const node = options.trial(params, { budgets, horizon })
          made.rungs.push(node)
          return context.run(node, ownerOf(name, trial)) as Effect.Effect<A, unknown, any>
        }).pipe(Effect.exit)
        const cost = budgets.at(-1)! - (budgets.at(-2) ?? 0)
        const about = { study: name, trial, rung, budget: budgets.at(-1)!, cost }
        if (Exit.isSuccess(exit)) {
          yield* context.emit({ _tag: "trial.completed", ...about, value: Objective.read(exit.value, metric) })
        } else {
          const error = Cause.squash(exit.cause)
          if (!endsTheRun(error)) yield* context.emit({ _tag: "trial.failed", ...about, message: describe(error) })
        }
        yield* Queue.offer(results, { job, exit })
      })

      let state = engine
      let unplanned: NotPlanned | undefined
      let outstanding = 0
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
              budget: job.budgets.at(-1)!,
              origin: job.origin,
              params: job.params
            })
            yield* Effect.forkChild(startJob(job))
            outstanding++
          }
        }
        if (outstanding === 0) break
        const { exit, job } = yield* Queue.take(results)
        outstanding--
        if (Exit.isSuccess(exit)) {
          const value = Objective.read(exit.value, metric)
          // A trial is reported with the output that its value is of.
          if (Number.isFinite(value)) outputs.set(job.trial, exit.value)
          state = VirtualTime.tell(state, job, { _tag: "Completed", value })
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
      const outcome: StudyOutcome = {
        study: name,
        metric,
        direction,
        seed: options.seed ?? 0,
        sampler: sampler.description,
        scheduler: scheduler.description,
        spent: summary.spent,
        fullCost: summary.fullCost,
        trials: yield* Effect.forEach(summary.trials, (trial) => {
          const ran = nodes.get(trial.trial)
          const runs = ran === undefined ? [] : context.stageRuns(ran.rungs, ran.since)
          return Effect.map(metricsOf(outputs.get(trial.trial)), (metrics) => trialOutcome(trial, metrics, runs))
        })
      }
      yield* context.emit({ _tag: "study.completed", study: name, outcome })
      const { best } = summary
      if (best === undefined) {
        const firstFailure = summary.trials.find((trial) => trial.failure !== undefined)?.failure?.reason ??
          "none started"
        return yield* new NoTrialSucceeded({ study: name, trials: summary.trials.length, firstFailure })
      }
      const value = best.value!
      return {
        best: { trial: best.trial, params: best.params, budget: best.budget, value, output: outputs.get(best.trial)! },
        trials: summary.trials.map((trial) => ({
          trial: trial.trial,
          status: statusOf(trial),
          params: trial.params,
          budget: trial.budget,
          value: trial.value ?? null,
          output: outputs.get(trial.trial) ?? null,
          error: trial.failure?.reason ?? null
        })),
        selection: new Selection({ study: name, trial: best.trial, metric, value }),
        spent: summary.spent,
        fullCost: summary.fullCost,
        search: {
          direction,
          sampler: sampler.description,
          scheduler: scheduler.description,
          seed: options.seed ?? 0
        }
      }
    }
  )

  return Node.make(name, resultSchema(space.schema, template.output), {
    _tag: "Expand",
    expand: { template, sources: [], run }
  })
}

/** A summary is only read once nothing is running. */
const statusOf = (trial: Summary.Trial): "completed" | "stopped" | "failed" =>
  trial.status === "running" ? "stopped" : trial.status

const trialOutcome = (
  trial: Summary.Trial,
  metrics: Readonly<Record<string, number>>,
  runs: ReadonlyArray<RunRecord>
): TrialOutcome => ({
  trial: trial.trial,
  origin: trial.origin,
  status: statusOf(trial),
  params: trial.params,
  budget: trial.budget,
  value: trial.value,
  metrics,
  error: trial.failure?.reason,
  rungs: trial.values,
  virtualStart: trial.start,
  virtualFinish: trial.finish,
  runs
})

const ownerOf = (study: string, trial: number) => `${study} trial ${trial}`
