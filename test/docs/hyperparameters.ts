/**
 * Writes docs/hyperparameters.md from the knobs of fine-tuning.
 */
import type * as Schema from "effect/Schema"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defaults, knobs, languageModelKnobs } from "../../src/finetune/Hyperparameters.ts"
import * as Hyperparameter from "../../src/pipeline/Hyperparameter.ts"

export const file = fileURLToPath(new URL("../../docs/hyperparameters.md", import.meta.url))

const show = (value: unknown): string => typeof value === "string" ? value : JSON.stringify(value)

const rangeOf = (range: Hyperparameter.Range<unknown>): string =>
  "values" in range
    ? range.values.length === 1
      ? `always ${show(range.default)}`
      : `${range.values.map(show).join(", ")}; first ${show(range.default)}`
    : `${range.min} to ${range.max}${range.scale === "log" ? ", log scale" : ""}; first ${range.default}`

const cell = (text: string): string => text.replaceAll("|", "\\|")

const given = { ...defaults, loss: "completions", truncation: "end" } as Readonly<Record<string, unknown>>

const row = ([name, schema]: readonly [string, Schema.Top]): string => {
  const about = Hyperparameter.aboutOf(schema)!
  const fallback = name === "learningRate" ? "" : `\`${show(given[name])}\``
  return `| \`${name}\` | ${fallback} | ${cell(about.description)} | ${cell(about.source)} |`
}

const searched = (adapter: Hyperparameter.Setup["adapter"], of: Readonly<Record<string, Schema.Top>>) =>
  Object.entries(of).flatMap(([name, schema]) => {
    const search = Hyperparameter.aboutOf(schema)?.search
    const found = search?.({ adapter })
    const range = found === undefined ? "" : rangeOf(found)
    return range === "" ? [] : [`| \`${name}\` | ${range} |`]
  })

const table = (title: string, adapter: Hyperparameter.Setup["adapter"], of: Readonly<Record<string, Schema.Top>>) =>
  [`### ${title}`, "", "| hyperparameter | where to look |", "| --- | --- |", ...searched(adapter, of), ""].join("\n")

/** The page as it should be. */
export const page = (): string =>
  [
    "# Hyperparameters",
    "",
    "Every knob of `FineTune`, `FineTuneScores`, `FineTuneTags`, `FineTuneConversations` and `Pretrain`. `learningRate` alone has",
    "no default. What they mean together is told in [Fine-tuning](fine-tuning.md).",
    "",
    "| parameter | default | what it does | after |",
    "| --- | --- | --- | --- |",
    ...Object.entries({ ...knobs, ...languageModelKnobs }).map(row),
    "",
    "`loss` and `truncation` are those of `FineTuneConversations` only. `stopAfterEpochs` ends a run at a rung, see",
    "[Studies](studies.md).",
    "",
    "## Where to look",
    "",
    "`Space.from(FineTune, { adapter: \"lora\" })` makes a search space of these. The first value is the one that a person would",
    "begin with, and one of the first trials.",
    "",
    table("Classification, regression, tagging; all weights", "none", knobs),
    table("Classification, regression, tagging; an adapter", "lora", knobs),
    table("Language models; all weights", "none", languageModelKnobs),
    table("Language models; an adapter", "lora", languageModelKnobs).trimEnd(),
    ""
  ].join("\n")

if (import.meta.main) writeFileSync(file, page())
