/**
 * Adapters that PEFT wrote, among test/fixtures/hf: each with the name of its base, and what PEFT and torch computed with it.
 */
import { Effect } from "effect"
import * as Adapter from "../../src/model/Adapter.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Family from "../../src/model/Family.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Reference from "./Reference.ts"

export const bases: Readonly<Record<string, string>> = {
  "adapters/gpt2": "gpt2",
  "llama/lora": "llama",
  "llama3-rope-tied/lora": "llama3-rope-tied",
  "qwen2/lora": "qwen2",
  "qwen3/lora": "qwen3",
  "adapters/gpt2-dora": "gpt2",
  "adapters/llama-dora": "llama",
  "adapters/qwen3-patterns": "qwen3",
  "adapters/gpt2-layers": "gpt2",
  "adapters/gpt2-classification": "gpt2-classification"
}

const own = new Set<string>(Object.values(Adapter.fileNames))

/** The files of a base and of an adapter for it. */
export const files = (adapter: string): Map<string, Uint8Array> =>
  new Map([
    ...Reference.files(bases[adapter]!),
    ...[...Reference.files(adapter)].filter(([name]) => own.has(name))
  ])

export const parse = (bytes: Uint8Array | undefined) => JSON.parse(new TextDecoder().decode(bytes))
export const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

/** The base's files with an adapter whose configuration is changed. */
export const changed = (adapter: string, change: Readonly<Record<string, unknown>>): Map<string, Uint8Array> => {
  const found = files(adapter)
  return found.set(Adapter.fileNames.config, json({ ...parse(found.get(Adapter.fileNames.config)), ...change }))
}

export const load = Effect.fnUntraced(function*(adapter: string) {
  const base = yield* Reference.load(bases[adapter]!)
  const checkpoint = yield* Checkpoint.fromFiles(files(adapter))
  const model = yield* Checkpoint.modelOf(checkpoint)
  const placement = (yield* Checkpoint.placementOf(checkpoint))!
  const found = Reference.files(adapter)
  const { tensors } = yield* Safetensors.decode(found.get("reference.safetensors")!)
  const { hyperparameters, trajectory } = parse(found.get("reference.json"))
  return {
    ...base,
    checkpoint,
    model,
    placement,
    expected: (name: string) => tensors.get(name)?.data as Float32Array | undefined,
    hyperparameters: hyperparameters as Readonly<Record<string, number>>,
    trajectory: trajectory as ReadonlyArray<Reference.TrajectoryStep>,
    // The adapters among the models' own fixtures have the logits of the first training batch, the others those of the
    // model's texts.
    input: tensors.has("input_ids") ? base.trainBatch(0) : base.input
  }
})

/** Whether a fixture is of a family that is not implemented. */
export const isUnknown = (name: string): boolean => {
  const { model_type: modelType } = parse(Reference.files(name).get("config.json"))
  return !Family.families.some((family) => family.modelType === modelType)
}
