/**
 * A model card: README.md with the metadata that the Hugging Face hub reads, written from what is known and from nothing
 * else. Equal facts give equal bytes.
 */
import { type Facts, isAdapterAlone } from "./Facts.ts"
import * as Figures from "./Figures.ts"
import * as Loading from "./Loading.ts"
import * as Markdown from "./Markdown.ts"
import * as Results from "./Results.ts"
import * as Training from "./Training.ts"
import * as Yaml from "./Yaml.ts"

export const fileName = "README.md"

/** Whether a name can be a model's on the hub; a folder cannot be linked to. */
const isHubId = (name: string): boolean => /^\w[\w.-]*(?:\/[\w.-]+)?$/.test(name)

const metadata = (facts: Facts): Yaml.Mapping => {
  const { about, adapter, base } = facts
  const { pipelineTag } = Loading.taskOf(facts.head)
  const results = Results.index(facts, pipelineTag)
  const alone = isAdapterAlone(facts)
  const hubId = base !== undefined && isHubId(base) ? base : undefined
  const tags = ["attune", ...(adapter === undefined ? [] : [adapter.settings.variant]), ...about.tags]
  return {
    ...(about.license === undefined ? {} : { license: about.license }),
    ...(about.languages.length === 0 ? {} : { language: about.languages }),
    library_name: alone ? "peft" : "transformers",
    pipeline_tag: pipelineTag,
    ...(hubId === undefined ? {} : { base_model: hubId, base_model_relation: alone ? "adapter" : "finetune" }),
    tags: [...new Set(tags)],
    ...(about.datasets.length === 0 ? {} : { datasets: about.datasets }),
    ...(results.length === 0 ? {} : { "model-index": [{ name: about.name, results }] })
  }
}

const does = ({ head, labels }: Facts): string => {
  switch (head) {
    case "sequence-classification":
      return `puts a text into one of ${Figures.count(labels.length)} classes`
    case "sequence-regression":
      return "gives a number for a text"
    case "token-classification":
      return `gives each word of a text one of ${Figures.counted(labels.length, "tag")}`
    case "causal-language-modeling":
      return "continues texts"
    case "none":
      return "gives a vector for each token of a text"
  }
}

const summary = (facts: Facts): ReadonlyArray<string> => {
  const { about, adapter, architecture, base, baseModel, head, parameters } = facts
  const isTuned = facts.study !== undefined || facts.training !== undefined || base !== undefined ||
    baseModel !== undefined
  const made = adapter !== undefined
    ? `, fine-tuned with ${adapter.settings.variant === "dora" ? "DoRA" : "LoRA"} of rank ${adapter.settings.rank}`
    : isTuned
    ? ", fine-tuned"
    : ""
  const from = base !== undefined
    ? ` from ${Markdown.code(base)}`
    : baseModel === undefined
    ? ""
    : ` from a ${Markdown.code(baseModel.architecture)} of ${Figures.count(baseModel.parameters)} parameters`
  const what = isAdapterAlone(facts)
    ? `These are the ${
      Figures.count(adapter!.parameters)
    } trained numbers alone, in PEFT's format: the base model is needed beside them.`
    : adapter !== undefined
    ? "The adapter is merged into the weights: nothing but this folder is needed."
    : undefined
  return [
    `# ${Markdown.text(about.name)}`,
    [
      `A ${Markdown.code(architecture)} of ${Figures.count(parameters)} parameters that ${does(facts)}${made}${from}.`,
      ...(what === undefined ? [] : [what])
    ].join(" "),
    ...(about.description === undefined ? [] : [about.description.trim()]),
    ...(about.intendedUse === undefined ? [] : ["## Intended use", about.intendedUse.trim()]),
    "## How to load it",
    Markdown.block("python", Loading.code(facts)),
    ...(head === "token-classification"
      ? ["Each word is tagged at its first token; what the model says of the others has no meaning."]
      : [])
  ]
}

/** What is known to bound its use. */
const limitations = (facts: Facts): ReadonlyArray<string> => {
  const { about, data, head, labels, maximumLength, test } = facts
  const unseen = test?.evaluation.kind === "evaluation"
    ? test.evaluation.perClass.filter(({ support }) => support === 0).map(({ label }) => label)
    : []
  const measured = test !== undefined || facts.validation !== undefined
  return [
    "## Limitations",
    ...(about.limitations === undefined ? [] : [about.limitations.trim()]),
    [
      `It has positions for ${Figures.counted(maximumLength, "token")}.`,
      ...(data.train === undefined
        ? []
        : [`It was fine-tuned on ${Figures.counted(data.train.examples.rows, "example")}.`]),
      ...(head === "sequence-classification" && labels.length > 0
        ? ["It gives one of its labels to every text, also to one that none of them fits."]
        : []),
      ...(unseen.length === 0
        ? []
        : [`No test example has ${unseen.length === 1 ? "the label" : "the labels"} ${Figures.some(unseen, 20)}.`]),
      ...(measured
        ? test === undefined ? ["It was not measured on test examples."] : []
        : ["No evaluation of it is recorded here."])
    ].map((line) => `- ${line}`).join("\n")
  ]
}

/** The card. */
export const render = (facts: Facts): string => {
  const body = [
    ...summary(facts),
    ...Results.results(facts),
    ...Training.data(facts),
    ...Training.hyperparameters(facts),
    ...Training.training(facts),
    ...Training.search(facts),
    ...Training.rerun(facts),
    ...limitations(facts)
  ]
  return `---\n${Yaml.block(metadata(facts))}\n---\n\n${body.join("\n\n")}\n`
}
