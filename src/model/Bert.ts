/**
 * BERT: the encoder with a pooler, a dense layer on the first token, under its classifiers of sequences.
 */
import * as Effect from "effect/Effect"
import type { Tensor2D } from "../tensor/Backend.ts"
import type { Family, Linear } from "./Architecture.ts"
import * as Dropout from "./Dropout.ts"
import * as Encoder from "./Encoder.ts"
import { readBert, type Settings } from "./EncoderSettings.ts"

const modelType = "bert"

/** The names in a layer, which RoBERTa's are too. */
export const names = (body: string): Encoder.Names => ({
  body,
  layers: "encoder.layer",
  query: "attention.self.query",
  key: "attention.self.key",
  value: "attention.self.value",
  output: "attention.output.dense",
  attentionNorm: "attention.output.LayerNorm",
  up: "intermediate.dense",
  down: "output.dense",
  norm: "output.LayerNorm"
})

const pooler = "bert.pooler.dense"

/** It is part of the body's checkpoints, and to an adapter a map like those of the layers. */
const poolerLinear = (settings: Settings): Linear => ({ ...Encoder.headLinear(settings, pooler), head: false })

const sequenceClassifier = (settings: Settings): Encoder.Top => ({
  linears: [poolerLinear(settings), Encoder.headLinear(settings, "classifier", settings.classes)],
  outputs: settings.classes,
  logits: (tf, weights, rows, dropout) => {
    const pooled = tf.tanh(weights.linear(pooler, rows))
    return weights.linear(
      "classifier",
      Dropout.apply(tf, pooled, dropout, "head", settings.sequenceDropout)
    ) as Tensor2D
  }
})

/** A pre-trained body comes with a pre-trained pooler, which its classifiers start from. */
const body = (settings: Settings): Encoder.Top => ({ ...Encoder.bare(settings), kept: [poolerLinear(settings)] })

const variant: Encoder.Variant = {
  names: names("bert"),
  maximumLength: ({ positions }) => positions,
  positions: (_, batch) => Encoder.packedPositions(batch),
  constantPosition: () => undefined,
  top: Encoder.tops(sequenceClassifier, body)
}

export const family: Family = {
  modelType,
  architectures: {
    "sequence-classification": "BertForSequenceClassification",
    "sequence-regression": "BertForSequenceClassification",
    "token-classification": "BertForTokenClassification",
    none: "BertModel"
  },
  otherArchitectures: [
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForNextSentencePrediction",
    "BertForMultipleChoice",
    "BertForQuestionAnswering"
  ],
  canonicalName: Encoder.canonicalName(variant.names, /^(embeddings|encoder|pooler)\./),
  make: Effect.fnUntraced(function*(config, head) {
    const settings = yield* readBert(config, { modelType, vocabularySize: 30_522, paddingId: 0 })
    return yield* Encoder.make(variant, settings, config, head)
  })
}
