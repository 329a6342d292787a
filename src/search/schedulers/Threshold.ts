/**
 * Thresholds: a trial stops when its objective is above or below a bound, such
 * as a loss that has exploded or an accuracy no better than chance after some
 * epochs. Bounds are values of the objective as the trial gives it, whether it
 * is minimised or maximised.
 */
import { InvalidStudy } from "../InvalidStudy.ts"
import * as StoppingRules from "./StoppingRules.ts"

export interface Options extends StoppingRules.Onset {
  /** A trial stops when its objective is above this. */
  readonly above?: number
  /** A trial stops when its objective is below this. */
  readonly below?: number
}

/** The rule, to combine with others. Throws `InvalidStudy` for options that make no sense. */
export const rule = (options: Options): StoppingRules.Rule => {
  const { above, below } = options
  for (const [option, bound] of Object.entries({ above, below })) {
    if (bound !== undefined && !Number.isFinite(bound)) {
      throw new InvalidStudy({ option, found: String(bound), expected: "a finite number" })
    }
  }
  if (above === undefined && below === undefined) {
    throw new InvalidStudy({ option: "above", found: "neither `above` nor `below`", expected: "one of them or both" })
  }
  if (above !== undefined && below !== undefined && below > above) {
    throw new InvalidStudy({
      option: "below",
      found: String(below),
      expected: `a number not above \`above\`, ${above}`
    })
  }
  const from = StoppingRules.onset(options)
  const bounds = [
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(below === undefined ? [] : [`below ${below}`])
  ]
  return {
    name: "threshold",
    description: `its value is ${bounds.join(" or ")}${from === 0 ? "" : ` (from budget ${from} on)`}`,
    stops: (question) => {
      const { budgets, trial, view } = question
      if (budgets[trial.rung]! < from) return undefined
      const loss = view.loss(trial.index, trial.rung)
      const value = view.direction === "minimize" ? loss : -loss
      const beyond = above !== undefined && value > above ?
        `above ${above}`
        : below !== undefined && value < below
        ? `below ${below}`
        : undefined
      if (beyond === undefined) return undefined
      return `its value, ${StoppingRules.shown(view, loss)}, is ${beyond} at ${StoppingRules.place(question)}`
    }
  }
}
