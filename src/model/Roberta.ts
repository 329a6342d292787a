/**
 * RoBERTa (Liu et al., "RoBERTa: a robustly optimized BERT pretraining approach", 2019), and XLM-RoBERTa, which is the same
 * model of other texts: BERT's body with positions that count on from the padding token's id, and a classifier of its own.
 */
import * as Effect from "effect/Effect"
import type { Tensor, Tensor2D } from "../tensor/Backend.ts"
import { type Family, type Head, InvalidConfig, type TokenBatch } from "./Architecture.ts"
import * as Bert from "./Bert.ts"
import * as Dropout from "./Dropout.ts"
import * as Encoder from "./Encoder.ts"
import { readBert, type Settings } from "./EncoderSettings.ts"

const dense = "classifier.dense", output = "classifier.out_proj"

const sequenceClassifier = (settings: Settings): Encoder.Top => ({
  linears: [Encoder.headLinear(settings, dense), Encoder.headLinear(settings, output, settings.classes)],
  outputs: settings.classes,
  logits: (tf, weights, rows, dropout) => {
    const drop = (place: string, x: Tensor) => Dropout.apply(tf, x, dropout, place, settings.sequenceDropout)
    const inner = tf.tanh(weights.linear(dense, drop(dense, rows)))
    return weights.linear(output, drop(output, inner)) as Tensor2D
  }
})

/** The padding token's id, which {@link make} sees to. */
const padding = ({ paddingId }: Settings): number => paddingId ?? 0

/**
 * The row of the table for each token: that of the padding token's id for padding, those after it in order for the rest. A
 * padding token inside a text is padding too, and is not counted.
 */
const positions = (settings: Settings, { batch, inputIds, lengths, segments, time }: TokenBatch): Int32Array => {
  const pad = padding(settings)
  const found = new Int32Array(batch * time).fill(pad)
  for (let row = 0; row < batch; row++) {
    let position = pad
    for (let column = 0; column < lengths[row]!; column++) {
      const at = row * time + column
      if (segments !== undefined && column > 0 && segments[at] !== segments[at - 1]) position = pad
      if (inputIds[at] !== pad) found[at] = ++position
    }
  }
  return found
}

const variant: Encoder.Variant = {
  names: Bert.names("roberta"),
  maximumLength: (settings) => settings.positions - padding(settings) - 1,
  positions,
  constantPosition: padding,
  top: Encoder.tops(sequenceClassifier)
}

const make = Effect.fnUntraced(function*(
  config: Parameters<Family["make"]>[0],
  head: Head,
  defaults: { readonly modelType: string; readonly vocabularySize: number }
) {
  const { modelType } = defaults
  const settings = yield* readBert(config, { ...defaults, paddingId: 1 })
  if (settings.paddingId === undefined) {
    const reason = "is null, and positions are counted from the padding token's id"
    return yield* new InvalidConfig({ modelType, field: "pad_token_id", reason })
  }
  if (variant.maximumLength(settings) < 1) {
    const reason =
      `is ${settings.positions}, which leaves no position beyond that of pad_token_id ${settings.paddingId}`
    return yield* new InvalidConfig({ modelType, field: "max_position_embeddings", reason })
  }
  return yield* Encoder.make(variant, settings, config, head)
})

/** A family whose classes in transformers begin with this. */
const familyOf = (
  prefix: string,
  defaults: { readonly modelType: string; readonly vocabularySize: number }
): Family => ({
  modelType: defaults.modelType,
  architectures: {
    "sequence-classification": `${prefix}ForSequenceClassification`,
    "sequence-regression": `${prefix}ForSequenceClassification`,
    "token-classification": `${prefix}ForTokenClassification`,
    none: `${prefix}Model`
  },
  otherArchitectures: [
    `${prefix}ForMaskedLM`,
    `${prefix}ForMultipleChoice`,
    `${prefix}ForQuestionAnswering`
  ],
  canonicalName: Encoder.canonicalName(variant.names, /^(embeddings|encoder|pooler)\./),
  make: (config, head) => make(config, head, defaults)
})

export const family: Family = familyOf("Roberta", { modelType: "roberta", vocabularySize: 50_265 })

export const multilingual: Family = familyOf("XLMRoberta", { modelType: "xlm-roberta", vocabularySize: 30_522 })
