/** What a study puts out. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Selection } from "../pipeline/Selection.ts"
import * as EarlierStudy from "./EarlierStudy.ts"
import * as Goal from "./Goal.ts"
import type * as Space from "./space/Space.ts"
import type * as Summary from "./Summary.ts"

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

/** Trials gave values, but none keeps the limits that the study sets. */
export class NoFeasibleTrial extends Schema.TaggedError<NoFeasibleTrial>()("NoFeasibleTrial", {
  study: Schema.String,
  /** How many gave values. */
  trials: Schema.Int,
  /** The limits in words. */
  limits: Schema.Array(Schema.String),
  /** The trial that comes nearest to keeping them, and its metrics. */
  nearest: Schema.Int,
  found: Schema.Record(Schema.String, Schema.Finite)
}) {
  override get message(): string {
    const found = Object.entries(this.found).map(([metric, value]) => `${metric} ${value}`).join(", ")
    return `None of the ${this.trials} trials of the study "${this.study}" that gave values keeps its limits (${
      this.limits.join(", ")
    }). Trial ${this.nearest} comes nearest, with ${found}. Widen the limits, or the space.`
  }
}

/** One trial, as a study reports it. */
export interface Trial<out P, out A> {
  readonly trial: number
  readonly status: "completed" | "stopped" | "failed"
  readonly params: P
  /** The budget it was given in all. */
  readonly budget: number
  /** The first objective at that budget; `null` for a trial that never had one. */
  readonly value: number | null
  /** The first objective at every rung that gave one, in order. */
  readonly rungs: ReadonlyArray<{ readonly budget: number; readonly value: number }>
  /** Whether it keeps every limit; `null` for a trial that never had values. */
  readonly feasible: boolean | null
  /** Its output at that budget. */
  readonly output: A | null
  readonly error: string | null
}

export interface Best<out P, out A> {
  readonly trial: number
  readonly params: P
  readonly budget: number
  /** The first objective of `output`. */
  readonly value: number
  readonly output: A
}

/** A trial that was trained again with other seeds in the end. */
export interface Finalist {
  readonly trial: number
  /** The first objective with each of these seeds, `null` where the training failed. */
  readonly values: ReadonlyArray<number | null>
  readonly mean: number | null
  readonly standardError: number | null
  /** The mean, worse by one standard error: the choice goes by it. */
  readonly bound: number | null
  /** Of the t test over seeds against the first finalist, adjusted for how many there are (Holm); `null` for the first itself. */
  readonly pValue: number | null
}

export interface Result<out P, out A> {
  readonly best: Best<P, A>
  readonly trials: ReadonlyArray<Trial<P, A>>
  /** The trials that no other surpasses in every objective, by the first; `best` alone with one objective. */
  readonly front: ReadonlyArray<number>
  /** With several objectives, the volume that the front dominates up to the worst values there are; `null` with one. */
  readonly hypervolume: number | null
  /** The finalists, the best first; empty when none were asked for. */
  readonly finalists: ReadonlyArray<Finalist>
  /** Finalists besides the first of which it is not clear, at the level of 5 %, that they are worse. */
  readonly indistinguishable: ReadonlyArray<number>
  /** With this the test split can be opened. */
  readonly selection: Selection
  /** The budget that all trials were given together, finalists' further trainings included. */
  readonly spent: number
  /** The part of it that finalists' further trainings took. */
  readonly spentOnFinalists: number
  /** What the same trials would have cost at the full horizon each. */
  readonly fullCost: number
  /** Why the study ended before its trials did, or before their number was reached; `null` when neither is so. */
  readonly ended: string | null
  /** What was taken over from earlier studies. */
  readonly reused: ReadonlyArray<EarlierStudy.Reused>
  /** How it searched; sampler and scheduler in words. */
  readonly search: {
    readonly direction: Goal.Direction
    readonly objectives: ReadonlyArray<Goal.Objective>
    readonly sampler: string
    readonly scheduler: string
    readonly seed: number
  }
}

const Direction = Schema.Literals(["maximize", "minimize"])

export const schema = <P, A>(
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
      rungs: Schema.Array(Schema.Struct({ budget: Schema.Finite, value: Schema.Finite })),
      feasible: Schema.NullOr(Schema.Boolean),
      output: Schema.NullOr(output),
      error: Schema.NullOr(Schema.String)
    })),
    front: Schema.Array(Schema.Int),
    hypervolume: Schema.NullOr(Schema.Finite),
    finalists: Schema.Array(Schema.Struct({
      trial: Schema.Int,
      values: Schema.Array(Schema.NullOr(Schema.Finite)),
      mean: Schema.NullOr(Schema.Finite),
      standardError: Schema.NullOr(Schema.Finite),
      bound: Schema.NullOr(Schema.Finite),
      pValue: Schema.NullOr(Schema.Finite)
    })),
    indistinguishable: Schema.Array(Schema.Int),
    selection: Selection,
    spent: Schema.Finite,
    spentOnFinalists: Schema.Finite,
    fullCost: Schema.Finite,
    ended: Schema.NullOr(Schema.String),
    reused: Schema.Array(EarlierStudy.Reused),
    search: Schema.Struct({
      direction: Direction,
      objectives: Schema.Array(Schema.Struct({ metric: Schema.String, direction: Direction })),
      sampler: Schema.String,
      scheduler: Schema.String,
      seed: Schema.Int
    })
  })

/** The result of a study that has ended, or why there is none. `outputs` are those that the trials' values are of. */
export const of = <P extends Space.Params, A>(
  summary: Summary.Summary<P>,
  about: {
    readonly study: string
    readonly goal: Goal.Goal
    readonly outputs: ReadonlyMap<number, A>
    readonly sampler: string
    readonly scheduler: string
    readonly seed: number
    readonly reused: ReadonlyArray<EarlierStudy.Reused>
  }
): Effect.Effect<Result<P, A>, NoTrialSucceeded | NoFeasibleTrial> => {
  const { goal, outputs, study } = about
  const { best, finalists, trials } = summary
  if (best === undefined) return Effect.fail(nothingToChoose(summary, study, goal))
  const { direction, metric } = goal.objectives[0]
  const value = best.value!
  return Effect.succeed({
    best: { trial: best.trial, params: best.params, budget: best.budget, value, output: outputs.get(best.trial)! },
    trials: trials.map((trial) => ({
      trial: trial.trial,
      status: statusOf(trial),
      params: trial.params,
      budget: trial.budget,
      value: trial.value ?? null,
      rungs: trial.values.map(({ budget, value }) => ({ budget, value })),
      feasible: trial.feasible ?? null,
      output: outputs.get(trial.trial) ?? null,
      error: trial.failure?.reason ?? null
    })),
    front: summary.front.map(({ trial }) => trial),
    hypervolume: summary.hypervolume ?? null,
    finalists: (finalists?.finalists ?? []).map((finalist) => ({
      trial: finalist.trial,
      values: finalist.values.map((value) => value ?? null),
      mean: finalist.mean ?? null,
      standardError: finalist.standardError ?? null,
      bound: finalist.bound ?? null,
      pValue: finalist.pValue ?? null
    })),
    indistinguishable: finalists?.indistinguishable ?? [],
    selection: new Selection({ study, trial: best.trial, metric, value }),
    spent: summary.spent,
    spentOnFinalists: summary.spentOnFinalists,
    fullCost: summary.fullCost,
    ended: summary.ended ?? null,
    reused: about.reused,
    search: {
      direction,
      objectives: goal.objectives,
      sampler: about.sampler,
      scheduler: about.scheduler,
      seed: about.seed
    }
  })
}

const nothingToChoose = (
  { trials }: Summary.Summary,
  study: string,
  goal: Goal.Goal
): NoTrialSucceeded | NoFeasibleTrial => {
  const excess = ({ values }: Summary.Trial) =>
    Goal.violations(goal, values.at(-1)!.values).reduce((sum, violation) => sum + Math.max(0, violation), 0)
  const known = trials.filter(({ status, values }) => status !== "failed" && values.length > 0)
    .toSorted((a, b) => excess(a) - excess(b))
  const [nearest] = known
  if (nearest === undefined) {
    const firstFailure = trials.find(({ failure }) => failure !== undefined)?.failure?.reason ??
      trials.find(({ stop }) => stop !== undefined)?.stop?.reason ?? "none started"
    return new NoTrialSucceeded({ study, trials: trials.length, firstFailure })
  }
  const { values } = nearest.values.at(-1)!
  return new NoFeasibleTrial({
    study,
    trials: known.length,
    limits: goal.limits.map(({ max, metric, min }) =>
      [metric, ...(min === undefined ? [] : [`at least ${min}`]), ...(max === undefined ? [] : [`at most ${max}`])]
        .join(" ")
    ),
    nearest: nearest.trial,
    found: Object.fromEntries(goal.limits.map(({ metric }, limit) => [metric, values[goal.objectives.length + limit]!]))
  })
}

/** A summary is only read once nothing is running. */
export const statusOf = (trial: Summary.Trial): "completed" | "stopped" | "failed" =>
  trial.status === "running" ? "stopped" : trial.status
