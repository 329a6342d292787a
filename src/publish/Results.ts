/**
 * The parts of a card that say how well a model does.
 */
import type { Evaluated, Facts } from "./Facts.ts"
import * as Figures from "./Figures.ts"
import * as Markdown from "./Markdown.ts"
import * as Measures from "./Measures.ts"
import type * as Yaml from "./Yaml.ts"

const cell = (measure: Measures.Measure | undefined): string => {
  if (measure === undefined) return "–"
  const { interval, value } = measure
  const shown = Figures.measure(measure, value)
  return interval === undefined
    ? shown
    : `${shown} (${Figures.measure(measure, interval.lower)} to ${Figures.measure(measure, interval.upper)})`
}

/** The classes or types of entities one by one. */
const perLabel = ({ evaluation }: Evaluated): ReadonlyArray<string> => {
  const rows = evaluation.kind === "evaluation"
    ? evaluation.perClass
    : evaluation.kind === "tag-evaluation"
    ? evaluation.perType.map(({ type, ...rest }) => ({ label: type, ...rest }))
    : []
  if (rows.length < 2 || rows.length > 200) return []
  const share = { share: false }
  return [
    `Label by label, on the ${evaluation.split} examples:`,
    Markdown.table(
      ["label", "examples→", "precision→", "recall→", "F1→"],
      rows.map(({ f1, label, precision, recall, support }) => [
        Markdown.text(label),
        Figures.count(support),
        Figures.measure(share, precision),
        Figures.measure(share, recall),
        Figures.measure(share, f1)
      ])
    )
  ]
}

/** Hyperparameters over several seeds, beside the defaults. */
const comparison = ({ comparison }: Facts): ReadonlyArray<string> => {
  if (comparison === undefined) return []
  const { defaults, seeds, selected } = comparison
  const range = ({ highest, kind, lowest, mean }: (typeof selected)[number], many: number) =>
    many === 1
      ? Figures.measure(kind, mean)
      : `${Figures.measure(kind, mean)} (${Figures.measure(kind, lowest)} to ${Figures.measure(kind, highest)})`
  const columns = [
    "measure",
    `selected, ${Figures.counted(seeds, "seed")}→`,
    ...(defaults === undefined ? [] : [`defaults, ${Figures.counted(defaults.seeds, "seed")}→`])
  ]
  const rows = selected.map((one, index) => [
    one.kind.title,
    range(one, seeds),
    ...(defaults === undefined ? [] : [range(defaults.measures[index]!, defaults.seeds)])
  ])
  const first = selected[0]!.kind
  return [
    defaults === undefined ? "### Over seeds" : "### Beside the defaults",
    Math.max(seeds, defaults?.seeds ?? 1) === 1
      ? "On the validation examples:"
      : "Trained anew with each seed, on the validation examples: the mean, and the lowest and highest.",
    Markdown.table(columns, rows),
    ...(defaults === undefined ? [] : [
      `${first.title} with the selected hyperparameters less that with the defaults: ${
        Figures.difference(first, defaults.gain.estimate)
      }${first.share ? " points" : ""} (95 % interval ${Figures.difference(first, defaults.gain.lower)} to ${
        Figures.difference(first, defaults.gain.upper)
      }, over ${seeds > 1 || defaults.seeds > 1 ? "examples and seeds" : "examples"}).`
    ])
  ]
}

/** Whether the trial was selected by a number of this evaluation. */
const decided = ({ evaluation }: Evaluated, { study }: Facts): boolean =>
  study !== undefined &&
  Measures.kindsOf(evaluation).some((kind) =>
    kind.id === study.selection.metric.split(".").at(-1) && Measures.valueOf(evaluation, kind) === study.best.value
  )

/** How well it does, with intervals. */
export const results = (facts: Facts): ReadonlyArray<string> => {
  const { test, validation } = facts
  const sides = [validation, test].filter((side) => side !== undefined)
  if (sides.length === 0 && facts.comparison === undefined) return []
  const kinds = sides.length === 0 ? [] : Measures.kindsOf(sides[0]!.evaluation)
  return [
    "## Results",
    ...(sides.length === 0 ? [] : [
      Markdown.table(
        [
          "measure",
          ...sides.map(({ evaluation }) => `${evaluation.split}, ${Figures.counted(evaluation.examples, "example")}→`)
        ],
        kinds.map(({ id, title }) => [
          title,
          ...sides.map(({ measures }) => cell(measures.find((measure) => measure.id === id)))
        ])
      ),
      `In brackets: 95 % intervals for this very model on other examples of the same kind, by the percentile bootstrap with ${
        Figures.count(Measures.resamples)
      } resamples.${
        validation !== undefined && decided(validation, facts)
          ? " The hyperparameters were selected by the validation examples, which flatters what is measured on them."
          : ""
      }`,
      ...perLabel(test ?? validation!)
    ]),
    ...comparison(facts)
  ]
}

/** What the hub calls the data's type where it is none of its own. */
const slug = (name: string): string => name.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-|-$/g, "")

/** What the results are measured on. */
const datasetName = ({ about, study }: Facts): string =>
  about.datasetName ?? about.datasets[0] ?? `the data of ${study?.selection.study ?? about.name}`

/** The results as the hub indexes them. */
export const index = (facts: Facts, pipelineTag: string): ReadonlyArray<Yaml.Value> => {
  const name = datasetName(facts)
  const type = facts.about.datasets[0] ?? (slug(name) || "data")
  return [facts.test, facts.validation].filter((side) => side !== undefined).map(({ evaluation, measures }) => ({
    task: { type: pipelineTag },
    dataset: { name, type, split: evaluation.split },
    metrics: measures.filter(({ value }) => Number.isFinite(value)).map(({ hub, title, value }) => ({
      type: hub,
      value,
      name: title
    }))
  }))
}
