import type { PipelineEvent, StudyOutcome } from "../../../src/pipeline/Progress.ts"

/** Events of a study "toy" of four trials, each of which costs 1 at the first rung and 2 more at the second. */
export const study = (name = "toy", metric = "accuracy"): PipelineEvent => ({
  _tag: "study.started",
  study: name,
  trials: 4,
  metric,
  metrics: [metric],
  goal: { objectives: [{ metric, direction: "maximize" }], limits: [] },
  reused: [],
  space: {},
  direction: "maximize",
  seed: 0,
  horizon: 3,
  expectedCost: 8,
  sampler: "random",
  scheduler: "successive halving"
})

export const started = (trial: number, rung = 0, name = "toy"): PipelineEvent => ({
  _tag: "trial.started",
  study: name,
  trial,
  rung,
  repeat: 0,
  budget: [1, 3][rung]!,
  origin: "sampler",
  params: { rate: trial / 8 }
})

export const completed = (trial: number, value: number, rung = 0): PipelineEvent => ({
  _tag: "trial.completed",
  study: "toy",
  trial,
  rung,
  repeat: 0,
  budget: [1, 3][rung]!,
  cost: [1, 2][rung]!,
  value,
  values: [value]
})

export const failed = (trial: number, message: string): PipelineEvent => ({
  _tag: "trial.failed",
  study: "toy",
  trial,
  rung: 0,
  repeat: 0,
  budget: 1,
  cost: 1,
  message
})

/** A finalist is trained again, and that has ended. */
export const again = (trial: number, repeat: number): PipelineEvent => ({
  _tag: "trial.started",
  study: "toy",
  trial,
  rung: 1,
  repeat,
  budget: 3,
  origin: "sampler",
  params: {}
})

export const againCompleted = (trial: number, repeat: number, value: number): PipelineEvent => ({
  _tag: "trial.completed",
  study: "toy",
  trial,
  rung: 1,
  repeat,
  budget: 3,
  cost: 3,
  value,
  values: [value]
})

/** Of a study of one trial, which is the best. */
export const outcome = (more: Partial<StudyOutcome>): StudyOutcome => ({
  study: "toy",
  metric: "accuracy",
  direction: "maximize",
  metrics: ["accuracy"],
  goal: { objectives: [{ metric: "accuracy", direction: "maximize" }], limits: [] },
  seed: 0,
  sampler: "random",
  scheduler: "successive halving",
  space: {},
  selected: 0,
  spent: 3,
  fullCost: 3,
  spentOnFinalists: 0,
  finalists: [],
  indistinguishable: [],
  ended: undefined,
  trials: [{
    trial: 0,
    origin: "sampler",
    status: "completed",
    params: {},
    budget: 3,
    value: 0.6,
    metrics: {},
    error: undefined,
    feasible: true,
    onFront: true,
    repeats: [],
    rungs: [],
    virtualStart: 0,
    virtualFinish: 3,
    runs: []
  }],
  ...more
})

const about = (owner: string, key: string, stage: string) => ({ stage, key, owner })

export const running = (owner: string, key: string, stage = "train"): PipelineEvent => ({
  _tag: "stage.started",
  ...about(owner, key, stage)
})

export const progress = (
  owner: string,
  key: string,
  step: number,
  steps: number | undefined,
  values: Readonly<Record<string, number>>
): PipelineEvent => ({ _tag: "stage.progress", ...about(owner, key, "train"), progress: { step, steps, values } })

export const ran = (owner: string, key: string, durationMillis = 1_000, stage = "train"): PipelineEvent => ({
  _tag: "stage.completed",
  ...about(owner, key, stage),
  durationMillis
})

export const cached = (owner: string, key: string, stage = "train"): PipelineEvent => ({
  _tag: "stage.cached",
  ...about(owner, key, stage)
})
