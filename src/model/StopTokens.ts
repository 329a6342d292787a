/**
 * The tokens with which a model says that its text is over.
 */
import type { Checkpoint } from "./Checkpoint.ts"
import { generationFile } from "./CheckpointFiles.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/** A token id, or a list of them. */
const idsOf = (value: unknown): ReadonlyArray<number> =>
  (Array.isArray(value) ? value : [value]).filter((id): id is number => Number.isSafeInteger(id) && id >= 0)

const parse = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    // It is no part of the model: without it config.json says the same, or nothing does.
    return undefined
  }
}

/**
 * The ids of `eos_token_id` in generation_config.json, or else in config.json, and that of the tokenizer's `eos_token`,
 * with which fine-tuning ends texts. Chat models have several.
 */
export const of = (
  { companions, config }: Pick<Checkpoint, "companions" | "config">,
  tokenizer: Pick<Tokenizer, "endOfTextId">
): ReadonlySet<number> => {
  const bytes = companions.get(generationFile)
  const generation = bytes === undefined ? undefined : parse(bytes)
  const named = typeof generation === "object" && generation !== null && "eos_token_id" in generation
    ? idsOf(generation.eos_token_id)
    : []
  return new Set([...(named.length > 0 ? named : idsOf(config["eos_token_id"])), ...idsOf(tokenizer.endOfTextId)])
}
