/** Every trial once, to the full budget: search without early stopping. */
import { InvalidStudy } from "../InvalidStudy.ts"
import * as Scheduler from "../Scheduler.ts"

/** `budget` is in the unit of the study: epochs, steps, examples. Throws `InvalidStudy` unless it is above zero. */
export const make = (budget: number): Scheduler.Scheduler => {
  if (!(Number.isFinite(budget) && budget > 0)) {
    throw new InvalidStudy({ option: "budget", found: String(budget), expected: "a finite number above zero" })
  }
  return {
    name: "full-budget",
    description: `every trial to ${budget}`,
    budgets: [budget],
    affordable: (total) => Math.floor(total / budget * (1 + 1e-9)),
    decide: (view) =>
      view.mayStart ? Scheduler.start : view.trials.some((trial) => trial.running) ? Scheduler.wait : Scheduler.done
  }
}
