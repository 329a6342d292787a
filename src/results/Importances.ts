/**
 * Which hyperparameters mattered in a study of the store.
 *
 * A trial that had less budget counts with the loss that is expected of it at
 * the highest rung that any trial reached (`Evidence`), so that no trial is
 * among the bad ones only because it was stopped early. Failed trials count as
 * the worst.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Importance from "../search/importance/Importance.ts"
import type * as Sampler from "../search/Sampler.ts"
import * as Evidence from "../search/samplers/Evidence.ts"
import { isCategorical } from "../search/space/Dimension.ts"
import type * as Space from "../search/space/Space.ts"
import * as StoredSpace from "../search/space/StoredSpace.ts"
import type { Store } from "../store/Store.ts"
import * as StoredStudy from "./StoredStudy.ts"

/** The table of a study does not say what its space is, or not in a way that can be read. */
export class NoStoredSpace extends Schema.TaggedError<NoStoredSpace>()("NoStoredSpace", { study: Schema.String }) {
  override get message(): string {
    return `The table of the study "${this.study}" does not say what its search space is: another version of Attune ` +
      "wrote it. Run the pipeline again, all of it cached, to make the table anew."
  }
}

/** The study does not look at such a metric. */
export class NoSuchMetric extends Schema.TaggedError<NoSuchMetric>()("NoSuchMetric", {
  study: Schema.String,
  metric: Schema.String,
  metrics: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `The study "${this.study}" does not look at a metric "${this.metric}". Its metrics are: ${
      this.metrics.join(", ")
    }.`
  }
}

export interface Options {
  /** `ped-anova`, the default: what it took to be among the best. `fanova`: what the metric varies with. See `Importance`. */
  readonly method?: "ped-anova" | "fanova"
  /** One of the metrics that the study looks at; by default its first objective. */
  readonly metric?: string
  /** Of the forest of `fanova`. Default 0. */
  readonly seed?: number
  /** How many pairs of hyperparameters `fanova` reports, the strongest first. Default 5. */
  readonly pairs?: number
}

/** What is told of the trials, whatever the method. */
export interface Trials {
  readonly study: string
  readonly metric: string
  readonly direction: "minimize" | "maximize"
  /** How many trials it is told from, the failed ones included; those that have no value yet are left out. */
  readonly trials: number
  readonly failed: number
  /** How many of them had less than the highest budget, and count with what is expected of them there. */
  readonly expected: number
}

export type Importances =
  | (Trials & { readonly method: "ped-anova" } & Importance.PedAnovaResult)
  | (Trials & { readonly method: "fanova" } & Importance.FanovaResult)

export type Error = StoredStudy.NoStoredStudy | NoStoredSpace | NoSuchMetric | Importance.NoImportance

/** The importance of every hyperparameter that varies in a study, from its trials so far. */
export const of = Effect.fnUntraced(function*(
  name: string,
  options: Options = {}
): Effect.fn.Return<Importances, Error, Store> {
  const study = yield* StoredStudy.read(name)
  const metric = options.metric ?? study.metric
  const index = study.metrics.indexOf(metric)
  if (index < 0) return yield* new NoSuchMetric({ study: name, metric, metrics: [...new Set(study.metrics)] })
  const space = decodeSpace(study)
  if (space === undefined) return yield* new NoStoredSpace({ study: name })
  const direction = directionOf(study, metric)
  const sign = direction === "minimize" ? 1 : -1
  const { failures, fidelities, losses: [measured], points } = Evidence.of(
    { space, objectives: 1, limits: 0 },
    study.trials.map(({ params, rungs, status, trial }): Sampler.Observation => ({
      trial,
      params,
      status,
      measurements: rungs.map(({ budget, rung, values }) => ({
        rung,
        budget,
        losses: [sign * values[index]!],
        violations: []
      }))
    }))
  )
  const samples: Importance.Samples = {
    axes: space.axes.map(({ dimension, name }) => ({
      name,
      kind: isCategorical(dimension) ? "categorical" : "numeric",
      size: dimension.size
    })),
    points: [...points, ...failures],
    losses: [...measured!, ...failures.map(() => Infinity)]
  }
  const trials: Trials = {
    study: name,
    metric,
    direction,
    trials: samples.points.length,
    failed: failures.length,
    expected: fidelities.filter((share) => share < 1).length
  }
  const { method = "ped-anova", pairs = 5, seed = 0 } = options
  return yield* told(() =>
    method === "fanova"
      ? { ...trials, method, ...Importance.fanova(samples, { seed, pairs }) }
      : { ...trials, method, ...Importance.pedAnova(samples) }
  )
})

/** Too few trials are an answer to be expected. */
const told = (tell: () => Importances): Effect.Effect<Importances, Importance.NoImportance> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(tell())
    } catch (error) {
      if (error instanceof Importance.NoImportance) return Effect.fail(error)
      throw error
    }
  })

const decodeSpace = ({ space }: StoredStudy.StoredStudy): Space.Space | undefined => {
  try {
    return space === undefined ? undefined : StoredSpace.decode(space)
  } catch {
    return undefined
  }
}

/** Which way of a metric is better; of one with a limit, away from that. */
const directionOf = ({ direction, goal, metric: first }: StoredStudy.StoredStudy, metric: string) => {
  const objective = goal?.objectives.find((objective) => objective.metric === metric)
  if (objective !== undefined) return objective.direction
  if (metric === first) return direction
  return goal?.limits.find((limit) => limit.metric === metric)?.max === undefined ? "maximize" : "minimize"
}
