/**
 * The model families there are. A new one is a file of its own and a line here.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Config, Family, Head, InvalidConfig, Model } from "./Architecture.ts"
import * as Bert from "./Bert.ts"
import * as DistilBert from "./DistilBert.ts"
import * as Gpt2 from "./Gpt2.ts"
import * as Heads from "./Heads.ts"
import * as Llama from "./Llama.ts"
import * as Qwen2 from "./Qwen2.ts"
import * as Qwen3 from "./Qwen3.ts"
import * as Roberta from "./Roberta.ts"

export const families: ReadonlyArray<Family> = [
  Gpt2.family,
  Llama.family,
  Qwen2.family,
  Qwen3.family,
  Bert.family,
  Roberta.family,
  Roberta.multilingual,
  DistilBert.family
]

/** A config.json that names a model type or a class that no family here has. */
export class UnknownArchitecture extends Schema.TaggedError<UnknownArchitecture>()("UnknownArchitecture", {
  /** What config.json says. */
  modelType: Schema.String,
  architectures: Schema.Array(Schema.String),
  /** What is implemented. */
  known: Schema.Array(Schema.String),
  /** The head that was asked for, where the family is known and has it not. */
  head: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    if (this.head !== undefined) {
      return `Models of the type ${
        JSON.stringify(this.modelType)
      } cannot be trained for ${this.head}, as there is no ` +
        `such class among ${this.known.join(", ")}. Take a model of another family.`
    }
    return `config.json describes model_type ${JSON.stringify(this.modelType)} with architectures ` +
      `${JSON.stringify(this.architectures)}; implemented are ${this.known.join(", ")}.`
  }
}

/** What config.json says of itself need not be text. */
const modelTypeOf = (config: Config): string => {
  const type = config["model_type"]
  return typeof type === "string" ? type : type === undefined || type === null ? "" : `(a ${typeof type})`
}

const unknown = (config: Config) =>
  new UnknownArchitecture({
    modelType: modelTypeOf(config),
    architectures: architecturesOf(config),
    known: [...new Set(families.flatMap((family) => Object.values(family.architectures)))]
  })

const architecturesOf = (config: Config): ReadonlyArray<string> => {
  const listed = config["architectures"]
  return Array.isArray(listed) ? listed.filter((name) => typeof name === "string") : []
}

/** The family of a config, by its `model_type` or else by the class that saved it. */
export const of = (config: Config): Effect.Effect<Family, UnknownArchitecture> => {
  const family = families.find((candidate) =>
    config["model_type"] === undefined
      ? architecturesOf(config).length > 0 && headOf(candidate, config) !== undefined
      : candidate.modelType === config["model_type"]
  )
  return family === undefined ? Effect.fail(unknown(config)) : Effect.succeed(family)
}

/** The head of the class that saved a config; `none` for a config that names no class. */
const headOf = (family: Family, config: Config): Head | undefined => {
  const [architecture] = architecturesOf(config)
  if (architecture === undefined || family.otherArchitectures.includes(architecture)) return "none"
  const heads = (Object.keys(family.architectures) as Array<Head>)
    .filter((head) => family.architectures[head] === architecture)
  return heads.includes("sequence-regression") && Heads.isRegression(config) ? "sequence-regression" : heads[0]
}

/**
 * The model that a config describes, with the head of the class that saved it. A class whose head is of another kind, such
 * as masked language modeling, gives the bare body.
 */
export const model: (config: Config) => Effect.Effect<Model, UnknownArchitecture | InvalidConfig> = Effect.fnUntraced(
  function*(config: Config) {
    const family = yield* of(config)
    const head = headOf(family, config)
    if (head === undefined) return yield* unknown(config)
    return yield* family.make(config, head)
  }
)

/** The fields that describe a classifier's head. */
const ofClassifier: ReadonlyArray<string> = ["id2label", "label2id", "num_labels", "problem_type"]

/**
 * A config for the same body with another head. A classifier has one class a label; without `labels` it keeps its own.
 */
export const withHead: (
  config: Config,
  head: Head,
  labels?: ReadonlyArray<string>
) => Effect.Effect<Config, UnknownArchitecture> = Effect.fnUntraced(
  function*(config: Config, head: Head, labels?: ReadonlyArray<string>) {
    const family = yield* of(config)
    const architecture = family.architectures[head]
    if (architecture === undefined) {
      return yield* new UnknownArchitecture({
        modelType: family.modelType,
        architectures: architecturesOf(config),
        head,
        known: [...new Set(Object.values(family.architectures))]
      })
    }
    const changed: Config = { ...config, architectures: [architecture] }
    const classifies = head === "sequence-classification" || head === "token-classification"
    if (classifies && labels === undefined) return changed
    const rest = Object.fromEntries(Object.entries(changed).filter(([field]) => !ofClassifier.includes(field)))
    const named = head === "sequence-regression" ? ["LABEL_0"] : classifies ? labels! : undefined
    if (named === undefined) return rest
    return {
      ...rest,
      id2label: Object.fromEntries(named.map((label, index) => [String(index), label])),
      label2id: Object.fromEntries(named.map((label, index) => [label, index])),
      ...(head === "sequence-regression"
        ? { problem_type: "regression" }
        : head === "sequence-classification"
        ? { problem_type: "single_label_classification" }
        : {})
    }
  }
)
