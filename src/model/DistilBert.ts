/**
 * DistilBERT (Sanh et al., "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter", 2019): BERT's body
 * without types of tokens, and a rectified linear layer in the place of the pooler.
 */
import * as Effect from "effect/Effect"
import type { Tensor2D } from "../tensor/Backend.ts"
import * as Operations from "../tensor/Operations.ts"
import type { Family } from "./Architecture.ts"
import * as Dropout from "./Dropout.ts"
import * as Encoder from "./Encoder.ts"
import { readDistilBert, type Settings } from "./EncoderSettings.ts"

const inner = "pre_classifier"

const sequenceClassifier = (settings: Settings): Encoder.Top => ({
  linears: [Encoder.headLinear(settings, inner), Encoder.headLinear(settings, "classifier", settings.classes)],
  outputs: settings.classes,
  logits: (tf, weights, rows, dropout) => {
    const pooled = Operations.relu(tf, weights.linear(inner, rows))
    return weights.linear(
      "classifier",
      Dropout.apply(tf, pooled, dropout, "head", settings.sequenceDropout)
    ) as Tensor2D
  }
})

const variant: Encoder.Variant = {
  names: {
    body: "distilbert",
    layers: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    output: "attention.out_lin",
    attentionNorm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    norm: "output_layer_norm"
  },
  maximumLength: ({ positions }) => positions,
  positions: (_, batch) => Encoder.packedPositions(batch),
  constantPosition: () => undefined,
  top: Encoder.tops(sequenceClassifier)
}

export const family: Family = {
  modelType: "distilbert",
  architectures: {
    "sequence-classification": "DistilBertForSequenceClassification",
    "sequence-regression": "DistilBertForSequenceClassification",
    "token-classification": "DistilBertForTokenClassification",
    none: "DistilBertModel"
  },
  otherArchitectures: ["DistilBertForMaskedLM", "DistilBertForMultipleChoice", "DistilBertForQuestionAnswering"],
  canonicalName: Encoder.canonicalName(variant.names, /^(embeddings|transformer)\./),
  make: Effect.fnUntraced(function*(config, head) {
    return yield* Encoder.make(variant, yield* readDistilBert(config), config, head)
  })
}
