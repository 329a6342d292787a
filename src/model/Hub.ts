/**
 * Models and data sets of the Hugging Face hub by their ids, as nodes.
 *
 * They are downloaded into the cache that huggingface_hub has on this machine,
 * each file once, and used from there by whoever has them. A revision is looked
 * up at every run, unless it is a commit; without a connection the cache is
 * used as it is. Only the content of the files counts downstream, as with
 * `Source.folder`: a branch that moved without changing them reruns nothing.
 *
 * Where the hub is, where the cache is and which token is sent is set by the
 * environment variables of huggingface_hub: `HF_ENDPOINT`, `HF_HOME`,
 * `HF_HUB_CACHE`, `HF_TOKEN` (or the file that `hf auth login` writes),
 * `HF_HUB_OFFLINE`. `NODE_USE_ENV_PROXY=1` sends requests through the proxy
 * that `HTTPS_PROXY` names.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as HubFolder from "../dataset/HubFolder.ts"
import * as Node from "../pipeline/Node.ts"
import { ExternalFile } from "../store/Artifact.ts"
import type { Repository } from "../store/HubCache.ts"
import * as Adapter from "./Adapter.ts"
import { companionFiles } from "./CheckpointFiles.ts"
import type { HubError } from "./HubError.ts"
import * as HubSnapshot from "./HubSnapshot.ts"

export { HubCacheError } from "../store/HubCache.ts"
export { Variables } from "./HubEnvironment.ts"
export { HubCorrupt, HubError, HubNotFound, HubUnauthorized, HubUnreachable } from "./HubError.ts"
export { Backoff } from "./HubRemote.ts"

export interface ModelOptions {
  /** A branch, a tag or a commit (`main` unless given). A commit never changes: prefer it for results to keep. */
  readonly revision?: string
  /**
   * Patterns of the files to take, in place of those that `LoadModel` reads. `*` stands for any text, with `/` in it
   * or not, `?` for one character.
   */
  readonly files?: ReadonlyArray<string>
}

/**
 * A model: its config, its weights as safetensors (one file, or shards with
 * their index), its tokenizer; or an adapter in PEFT's format.
 *
 * ```ts
 * LoadModel({ files: Hub.model("HuggingFaceTB/SmolLM2-135M", { revision: "93efa2f097d58c2a74874c7e644dbc9b0cee75a2" }) })
 * ```
 */
export const model = (
  id: string,
  options: ModelOptions = {}
): Node.Node<ReadonlyArray<ExternalFile>, HubError> =>
  make(
    { type: "model", id },
    options.revision ?? "main",
    id,
    (snapshot) => options.files === undefined ? filesOfModel(snapshot) : filesLike(snapshot, options.files)
  )

export interface DatasetOptions {
  /** As in {@link ModelOptions.revision}. */
  readonly revision?: string
  /** `train`, `validation`, `test`, or another name. */
  readonly split: string
  /** The folder of the configuration (also called subset), where the data set has several. */
  readonly configuration?: string
}

/**
 * The files of one split of a data set (Parquet, JSON lines or CSV), to be wired
 * to the `files` of a stage that loads examples. Which they are is told by their
 * names, as in {@link HubFolder.split}; what a README says of it is not read.
 *
 * ```ts
 * LoadExamples({ files: Hub.dataset("stanfordnlp/imdb", { configuration: "plain_text", split: "train" }) }, { text: "text", label: "label" })
 * ```
 */
export const dataset = (
  id: string,
  options: DatasetOptions
): Node.Node<ReadonlyArray<ExternalFile>, HubError> =>
  make(
    { type: "dataset", id },
    options.revision ?? "main",
    `${id} (${options.split})`,
    (snapshot) => filesOfSplit(snapshot, options.split, options.configuration)
  )

const make = (
  repository: Repository,
  revision: string,
  description: string,
  choose: (snapshot: HubSnapshot.Snapshot) => Effect.Effect<ReadonlyArray<string>, HubError>
): Node.Node<ReadonlyArray<ExternalFile>, HubError> =>
  Node.make(repository.id, Schema.Array(ExternalFile), {
    _tag: "Source",
    description: revision === "main" ? description : `${description} at ${revision.slice(0, 12)}`,
    read: HubSnapshot.files(repository, revision, choose)
  })

const weights = "model.safetensors"
const index = "model.safetensors.index.json"

/** Files that a model may do without. */
const optional: ReadonlyArray<string> = [
  "config.json",
  ...companionFiles,
  ...Object.values(Adapter.fileNames)
]

const filesOfModel = Effect.fnUntraced(function*(
  snapshot: HubSnapshot.Snapshot
): Effect.fn.Return<ReadonlyArray<string>, HubError> {
  const there = new Set(snapshot.files.map(({ path }) => path))
  const chosen = optional.filter((name) => there.has(name))
  if (there.has(weights)) return [...chosen, weights]
  if (there.has(index)) return [...chosen, index, ...yield* shardsOf(snapshot, there)]
  if (there.has(Adapter.fileNames.weights)) return chosen
  const others = [...there].filter((name) => /\.(bin|pt|pth|ckpt|h5|msgpack|gguf|onnx|safetensors)$/.test(name))
  return yield* snapshot.notFound(
    `it has neither ${weights} nor ${index}. Other formats are not read; of a .bin file the hub may have a conversion `
      + "in a pull request, whose revision is refs/pr/ and its number",
    others.length === 0 ? [...there] : others,
    [weights]
  )
})

/** The files that the index of a sharded model names. */
const shardsOf = Effect.fnUntraced(function*(
  snapshot: HubSnapshot.Snapshot,
  there: ReadonlySet<string>
): Effect.fn.Return<ReadonlyArray<string>, HubError> {
  const [file] = yield* snapshot.read([index])
  const named = yield* Effect.try({
    try: () => {
      const { weight_map: places } = JSON.parse(fs.readFileSync(file!.path, "utf8")) as Record<string, unknown>
      if (typeof places !== "object" || places === null || Array.isArray(places)) throw new TypeError("no weight_map")
      return [...new Set(Object.values(places).map(String))].toSorted()
    },
    catch: () => snapshot.corrupt(index, "is not JSON with a weight_map, which says where each tensor is")
  })
  const missing = named.filter((name) => !there.has(name))
  if (missing.length === 0) return named
  return yield* snapshot.notFound(
    `${index} names ${missing.slice(0, 3).map((name) => JSON.stringify(name)).join(", ")}, which ${
      missing.length === 1 ? "is" : "are"
    } not there`,
    [...there].filter((name) => name.endsWith(".safetensors")),
    missing
  )
})

const filesLike = (
  snapshot: HubSnapshot.Snapshot,
  patterns: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, HubError> => {
  const paths = snapshot.files.map(({ path }) => path)
  const expressions = patterns.map((pattern) =>
    new RegExp(
      `^${pattern.replaceAll(/[\\^$.|+()[\]{}]/g, "\\$&").replaceAll(/\*+/g, ".*").replaceAll("?", ".")}$`,
      "s"
    )
  )
  const found = paths.filter((path) => expressions.some((expression) => expression.test(path)))
  return found.length === 0
    ? Effect.fail(snapshot.notFound(`it has no file like ${patterns.join(", ")}`, paths))
    : Effect.succeed(found)
}

/** A folder named after a split, by any of its names. */
const splitFolder = /^(train(ing)?|val(id(ation)?)?|dev|test(ing)?|eval(uation)?)$/

const filesOfSplit = (
  snapshot: HubSnapshot.Snapshot,
  split: string,
  configuration: string | undefined
): Effect.Effect<ReadonlyArray<string>, HubError> => {
  const paths = snapshot.files.map(({ path }) => path)
  const folders = configuration === undefined ? [""] : [`${configuration}/`, `data/${configuration}/`]
  const folder = folders.find((folder) => paths.some((path) => path.startsWith(folder)))
  if (folder === undefined) {
    const configurations = new Set(
      paths.flatMap((path) => path.includes("/") ? [path.slice(0, path.lastIndexOf("/"))] : [])
    )
    return Effect.fail(
      snapshot.notFound(`it has no folder of the configuration "${configuration}"`, [...configurations])
    )
  }
  const inside = paths.flatMap((path) => path.startsWith(folder) ? [path.slice(folder.length)] : [])
  // Unless a folder is asked for, the others may be configurations with columns of their own.
  const direct = inside.filter((path) => {
    const [first, ...rest] = path.split("/")
    return rest.length === 0 || (rest.length === 1 && (first === "data" || first === split || splitFolder.test(first!)))
  })
  const found = HubFolder.filesOf(direct, split)
  return typeof found === "string"
    ? Effect.fail(snapshot.notFound(found, direct.length === 0 ? inside : []))
    : Effect.succeed(found.map((path) => folder + path))
}
