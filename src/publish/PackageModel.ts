/**
 * The way out: a model in the layout of the Hugging Face hub, with a card that says what it is and how it was made.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Adapter from "../model/Adapter.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import * as CheckpointFiles from "../model/CheckpointFiles.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import { versions } from "../pipeline/Host.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as TwoWayBootstrap from "../statistics/TwoWayBootstrap.ts"
import * as Artifact from "../store/Artifact.ts"
import { Backend } from "../tensor/Backend.ts"
import * as Facts from "./Facts.ts"
import * as Loading from "./Loading.ts"
import * as Measures from "./Measures.ts"
import * as ModelCard from "./ModelCard.ts"

/** A folder as transformers (`transformers`) or PEFT (`peft`) loads it, with README.md as its model card. */
export class PackagedModel extends Schema.Class<PackagedModel>("attune/PackagedModel")({
  kind: Schema.tag("packaged-model"),
  name: Schema.String,
  library: Schema.Literals(["transformers", "peft"]),
  files: Schema.Array(Artifact.File)
}) {}

/** An adapter was to go out alone, and nobody said what it belongs to. */
export class UnknownBase extends Schema.TaggedError<UnknownBase>()("UnknownBase", { architecture: Schema.String }) {
  override get message(): string {
    return `An adapter is of use only beside its base model, a ${this.architecture}. Say where that is found by ` +
      `\`base\`, its id on the hub or a folder, or merge the adapter into the weights with \`adapter: "merge"\`.`
  }
}

/** Two evaluations that are to be compared are not of the same examples, or of the same task. */
export class NotComparable extends Schema.TaggedError<NotComparable>()("NotComparable", { detail: Schema.String }) {
  override get message(): string {
    return `The evaluations of selected and default hyperparameters cannot be compared: ${this.detail}. Evaluate all of ` +
      `them on one and the same split.`
  }
}

/** A validation is wired where a test belongs, or the other way round. */
export class WrongSide extends Schema.TaggedError<WrongSide>()("WrongSide", {
  input: Schema.String,
  found: Schema.String
}) {
  override get message(): string {
    return `The input \`${this.input}\` is an evaluation on the ${this.found} split. Wire one on the split that it is called after.`
  }
}

type Evaluations = ReadonlyArray<Measures.Any>

const evaluated = Effect.fnUntraced(function*(input: string, side: "validation" | "test", evaluation: Measures.Any) {
  if (evaluation.split !== side) return yield* new WrongSide({ input, found: evaluation.split })
  return { evaluation, measures: Measures.measures(evaluation, yield* Measures.scored(evaluation)) }
})

const overSeeds = (evaluations: Evaluations): ReadonlyArray<Facts.OverSeeds> =>
  Measures.kindsOf(evaluations[0]!).map((kind) => {
    const values = evaluations.map((evaluation) => Measures.valueOf(evaluation, kind))
    return {
      kind,
      mean: values.reduce((sum, value) => sum + value, 0) / values.length,
      lowest: Math.min(...values),
      highest: Math.max(...values)
    }
  })

const compare = Effect.fnUntraced(function*(seeds: Evaluations, defaults: Evaluations | undefined) {
  const all = [...seeds, ...defaults ?? []]
  const first = all[0]!
  const other = all.find(({ kind, split }) => kind !== first.kind || split !== first.split)
  if (other !== undefined) {
    return yield* new NotComparable({
      detail:
        `one is of the kind "${first.kind}" on ${first.split} examples, another "${other.kind}" on ${other.split} examples`
    })
  }
  const selected = { seeds: seeds.length, selected: overSeeds(seeds) }
  if (defaults === undefined) return selected
  const scored = yield* Effect.forEach(all, Measures.scored)
  const identities = scored[0]!.identities.join()
  if (scored.some((one) => one.identities.join() !== identities)) {
    return yield* new NotComparable({ detail: "their examples are not the same" })
  }
  const [kind] = Measures.kindsOf(first)
  const several = all.length > 2
  const { estimate, lower, upper } = TwoWayBootstrap.difference(
    scored[0]!.examples,
    Measures.system(scored.slice(0, seeds.length), kind),
    Measures.system(scored.slice(seeds.length), kind),
    { seed: 0, seeds: "independent", resample: several ? "both" : "examples" }
  )
  return {
    ...selected,
    defaults: { seeds: defaults.length, measures: overSeeds(defaults), gain: { estimate, lower, upper } }
  }
})

/** The files of an adapter alone: PEFT's, the companions, and for a classifier the config that has its labels. */
const adapterFiles = (checkpoint: Checkpoint.Checkpoint, adapter: Adapter.Adapter, base: string, config: boolean) =>
  new Map([
    ...Adapter.toFiles({ ...adapter, config: { ...adapter.config, base_model_name_or_path: base } }),
    ...(config ? [[CheckpointFiles.configFile, CheckpointFiles.encodeConfig(checkpoint.config)] as const] : []),
    ...checkpoint.companions
  ])

const hasChatTemplate = ({ companions }: Checkpoint.Checkpoint): boolean => {
  const config = companions.get("tokenizer_config.json")
  return companions.has(CheckpointFiles.chatTemplateFile) ||
    (config !== undefined && /"chat_template"\s*:\s*["[]/.test(new TextDecoder().decode(config)))
}

/**
 * Puts a model into the files that transformers or PEFT load, and writes its card from what is wired.
 *
 * - `model`: what goes out. A model with an adapter goes out as the adapter alone, or merged, as `adapter` says.
 * - `base`: the model that fine-tuning began with, named by its digests.
 * - `data`: the output of a stage that splits, or some of its sides.
 * - `study`: the output of the study that selected the hyperparameters.
 * - `training`: the output of the stage that fine-tuned.
 * - `validation`, `test`: evaluations of this very model.
 * - `seeds`, `defaults`: evaluations on validation data of models trained with the selected hyperparameters, and with the
 *   defaults, each with one or more seeds.
 *
 * What is not wired the card does not speak of.
 */
export const PackageModel = Stage.make("package-model", {
  inputs: {
    model: PretrainedModel.PretrainedModel,
    base: Schema.optionalKey(PretrainedModel.PretrainedModel),
    data: Schema.optionalKey(Facts.Data),
    study: Schema.optionalKey(Facts.Study),
    training: Schema.optionalKey(Facts.Training),
    validation: Schema.optionalKey(Measures.Any),
    test: Schema.optionalKey(Measures.Any),
    seeds: Schema.optionalKey(Schema.NonEmptyArray(Measures.Any)),
    defaults: Schema.optionalKey(Schema.NonEmptyArray(Measures.Any))
  },
  params: Facts.about,
  output: PackagedModel,
  error: Schema.Union([UnknownBase, NotComparable, WrongSide, PretrainedModel.ModelError]),
  // Nothing is computed on it, but the card names what the others compute with.
  resources: { tensors: true },
  run: Effect.fn("PackageModel")(function*(inputs, about) {
    const loaded = yield* PretrainedModel.load(inputs.model.files)
    const { head, maximumLength } = yield* Checkpoint.modelOf(loaded)
    const adapter = loaded.adapter
    const alone = adapter !== undefined && about.adapter === "keep"
    const written = adapter?.config["base_model_name_or_path"]
    const base = about.base ?? (typeof written === "string" && written !== "" ? written : undefined)
    if (alone && base === undefined) return yield* new UnknownBase({ architecture: inputs.model.architecture })
    const out = alone
      ? adapterFiles(loaded, adapter, base!, Loading.bringsConfig(head))
      : Checkpoint.toFiles(yield* Checkpoint.merged(loaded))
    const files = yield* Effect.forEach(Array.from(out), ([name, bytes]) => Artifact.writeFile(name, bytes))
    let parameters = 0
    for (const { data } of loaded.tensors.values()) parameters += data.length
    let trained = 0
    for (const { data } of adapter?.tensors.values() ?? []) trained += data.length
    const { defaults, seeds, test, validation } = inputs
    const { determinism, name, version } = yield* Backend
    const facts: Facts.Facts = {
      about,
      head,
      architecture: inputs.model.architecture,
      parameters,
      maximumLength,
      labels: Checkpoint.labelsOf(loaded.config),
      hasChatTemplate: hasChatTemplate(loaded),
      adapter: adapter === undefined
        ? undefined
        : { settings: adapter.settings, merged: !alone, parameters: trained },
      base,
      baseModel: inputs.base,
      files: files.map(({ bytes, name, sha256 }) => ({ name, bytes, sha256 })),
      data: inputs.data ?? {},
      study: inputs.study,
      training: inputs.training,
      validation: validation === undefined ? undefined : yield* evaluated("validation", "validation", validation),
      test: test === undefined ? undefined : yield* evaluated("test", "test", test),
      comparison: seeds === undefined ? undefined : yield* compare(seeds, defaults),
      environment: { versions, backend: { name, version, determinism } }
    }
    const card = yield* Artifact.writeFile(ModelCard.fileName, new TextEncoder().encode(ModelCard.render(facts)))
    return new PackagedModel({
      name: about.name,
      library: alone ? "peft" : "transformers",
      files: [card, ...files]
    })
  })
})
