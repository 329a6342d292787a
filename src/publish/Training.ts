/**
 * The parts of a card that say how a model was made: data, hyperparameters, search, and how to do it again.
 */
import * as Schema from "effect/Schema"
import { languageModelKnobs } from "../finetune/Hyperparameters.ts"
import * as Hyperparameter from "../pipeline/Hyperparameter.ts"
import type { Facts, Hyperparameters, Side, Study } from "./Facts.ts"
import * as Figures from "./Figures.ts"
import * as Markdown from "./Markdown.ts"

/** What is known of a hyperparameter by its name. */
const knobs: ReadonlyMap<string, Schema.Top> = new Map(Object.entries(languageModelKnobs))

/** The default of every knob but the learning rate, which has none. */
const defaults: Hyperparameters = (() => {
  const { learningRate: _, ...rest } = Schema.Struct(languageModelKnobs).make({ learningRate: 0 })
  return rest as unknown as Hyperparameters
})()

const defaultOf = (name: string): Schema.Json | undefined => Object.hasOwn(defaults, name) ? defaults[name] : undefined

const descriptionOf = (name: string): string => {
  const knob = knobs.get(name)
  return knob === undefined ? "" : Markdown.text(Hyperparameter.aboutOf(knob)?.description ?? "")
}

/** The sides of the split, and the labels. */
export const data = ({ about, data, head, labels }: Facts): ReadonlyArray<string> => {
  const sides = (["train", "validation", "test"] as const).flatMap((name) => {
    const side: Side | undefined = data[name]
    return side === undefined ? [] : [[name, Figures.count(side.examples.rows), Markdown.code(side.examples.digest)]]
  })
  const tells = head === "sequence-classification" || head === "token-classification"
  if (sides.length === 0 && about.datasets.length === 0 && !tells) return []
  return [
    "## Data",
    ...(about.datasets.length === 0
      ? []
      : [`From ${about.datasets.map((name) => Markdown.code(name)).join(", ")} on the hub.`]),
    ...(sides.length === 0 ? [] : [
      Markdown.table(["side", "examples→", "digest of the content"], sides),
      "A digest is the SHA-256 of the rows themselves: equal examples in equal order have equal digests however they are stored."
    ]),
    ...(tells
      ? [
        `${Figures.counted(labels.length, head === "token-classification" ? "tag" : "label")}: ${
          Figures.some(labels, 200)
        }.`
      ]
      : [])
  ]
}

/** What was tried of a hyperparameter in all trials. */
const tried = ({ trials }: Study, name: string): string => {
  const values = trials.map(({ params }) => params[name]).filter((value) => value !== undefined)
  const distinct = [...new Map(values.map((value) => [JSON.stringify(value), value])).values()]
  const numbers = distinct.filter((value) => typeof value === "number").toSorted((a, b) => a - b)
  if (numbers.length === distinct.length && numbers.length > 6) {
    return `${Figures.number(numbers[0]!)} to ${Figures.number(numbers.at(-1)!)}`
  }
  const shown = (numbers.length === distinct.length ? numbers : distinct).map(Figures.value)
  return shown.slice(0, 12).join(", ") + (shown.length > 12 ? ", …" : "")
}

/** Those that were searched, and those that the pipeline sets, beside their defaults. */
export const hyperparameters = ({ about, study }: Facts): ReadonlyArray<string> => {
  const searched = study?.best.params ?? {}
  const known: Hyperparameters = { ...searched, ...about.hyperparameters, ...searched }
  const rows = Object.entries(known).map(([name, value]) => [
    Markdown.code(name),
    Figures.value(value),
    Figures.value(defaultOf(name)),
    ...(study === undefined ? [] : [Object.hasOwn(searched, name) ? tried(study, name) : ""]),
    descriptionOf(name)
  ])
  if (rows.length === 0) return []
  const columns = ["hyperparameter", "value→", "default→", ...(study === undefined ? [] : ["tried"]), "what it does"]
  return ["## Hyperparameters", Markdown.table(columns, rows)]
}

/** How long it trained, and how the validation loss went. */
export const training = ({ training }: Facts): ReadonlyArray<string> => {
  if (training === undefined) return []
  const { best, epochs, steps, stoppedEarly, totalSteps } = training
  const all = steps >= totalSteps
  return [
    "## Training",
    `${Figures.counted(steps, "optimizer step")} in ${Figures.number(epochs)} epochs, ${
      stoppedEarly
        ? `which ended before the ${
          Figures.count(totalSteps)
        } steps that were planned, since the validation loss had ceased to fall.`
        : all
        ? "all that were planned."
        : `of ${Figures.count(totalSteps)} that the schedule of the learning rate spans.`
    }`,
    ...(best === null
      ? []
      : [
        `The lowest validation loss was ${Figures.measure({ share: false }, best.loss)}, after ${
          Figures.number(best.epochs)
        } epochs.`
      ])
  ]
}

/** The trials from the best down: those with the most budget first, as only equal budgets are compared. */
const ranked = ({ best, search, trials }: Study) => {
  const rivals = trials.filter(({ budget, value }) => budget === best.budget && value !== null)
  const minimizes = search === undefined
    ? rivals.some(({ value }) => value! > best.value)
    : search.direction === "minimize"
  return trials.toSorted((one, other) =>
    other.budget - one.budget ||
    (one.value === null || other.value === null
      ? Number(one.value === null) - Number(other.value === null)
      : (minimizes ? 1 : -1) * (one.value - other.value)) ||
    one.trial - other.trial
  )
}

/** How many of the best trials are listed. */
const listed = 10

/** How the hyperparameters were found. */
export const search = ({ study }: Facts): ReadonlyArray<string> => {
  if (study === undefined) return []
  const { best, fullCost, search, selection, spent, trials } = study
  const ended = (["completed", "stopped", "failed"] as const).flatMap((status) => {
    const many = trials.filter((trial) => trial.status === status).length
    return many === 0 ? [] : [`${many} ${status}`]
  })
  const names = Object.keys(best.params)
  const rows = ranked(study).slice(0, listed).map(({ budget, params, status, trial, value }) => [
    trial === best.trial ? `**${trial}**` : String(trial),
    status,
    Figures.number(budget),
    value === null ? "–" : Figures.number(value),
    ...names.map((name) => Figures.value(params[name]))
  ])
  return [
    "## Search",
    [
      `The study ${Markdown.code(selection.study)} ran ${Figures.counted(trials.length, "trial")} (${
        ended.join(", ")
      }) and selected trial ${best.trial}, by the ${
        search === undefined ? "best" : search.direction === "maximize" ? "largest" : "smallest"
      } ${Markdown.code(selection.metric)} at the highest budget: ${Figures.number(best.value)}.`,
      ...(search === undefined ? [] : [
        `Sampler: ${Markdown.text(search.sampler)}. Scheduler: ${
          Markdown.text(search.scheduler)
        }. Seed of the study: ${search.seed}.`
      ]),
      `Together they took a budget of ${Figures.number(spent)}; every trial to the end would have taken ${
        Figures.number(fullCost)
      }.`
    ].join(" "),
    Markdown.table(
      [
        "trial→",
        "status",
        "budget→",
        `${Markdown.code(selection.metric)}→`,
        ...names.map((name) => Markdown.code(name))
      ],
      rows
    ),
    ...(trials.length > listed ? [`The ${listed} best of them, the selected one in bold.`] : [])
  ]
}

/** A word of a shell's command. */
const word = (text: string): string => /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

/** How to do it again, and how to tell that it is the same. */
export const rerun = ({ about, baseModel, environment, files, study }: Facts): ReadonlyArray<string> => {
  const { backend, versions } = environment
  const settings = Object.entries(about.settings).flatMap(([name, value]) => [
    "--set",
    word(`${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
  ])
  const command = about.pipeline === undefined
    ? undefined
    : ["npx attune run", word(about.pipeline), ...settings, "--backend", backend.name, "--export model"].join(" ")
  return [
    "## How to do it again",
    ...(command === undefined ? [] : [
      "With the pipeline's project, its data and its base model in place:",
      Markdown.block("sh", command.replaceAll(/[\r\n]+/g, " "))
    ]),
    ...(study === undefined ? [] : [
      `In the store where the study ran, ${
        Markdown.code(`npx attune show ${study.best.trial} --study ${word(study.selection.study)}`)
      } lists the stages of the selected trial with their keys, and its metrics step by step.`
    ]),
    `Written by Attune ${versions["attune"]} on Node ${versions["node"]}; tensors are those of the backend ${
      Markdown.code(backend.name)
    } (${Markdown.text(backend.version)}), ${
      backend.determinism === "exact"
        ? "which repeats to the bit on the same device"
        : "in its fast mode, which does not repeat to the bit"
    }. Weights are float32.`,
    ...(baseModel === undefined ? [] : [
      "The model that it began with, in files as Attune stores them:",
      fileTable(baseModel.files)
    ]),
    "The files beside this one:",
    fileTable(files)
  ]
}

const fileTable = (files: Facts["files"]): string =>
  Markdown.table(
    ["file", "bytes→", "SHA-256"],
    files.map(({ bytes, name, sha256 }) => [Markdown.code(name), Figures.count(bytes), Markdown.code(sha256)])
  )
