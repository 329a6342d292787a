/**
 * Evaluation of a language model by what it writes, as a stage.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Conversation from "../dataset/Conversation.ts"
import { TestConversations, ValidationConversations } from "../dataset/Splits.ts"
import { type ChatTemplate, ChatTemplateError } from "../model/ChatTemplate.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import * as Generation from "../model/Generation.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import * as Sampling from "../model/Sampling.ts"
import * as Supervision from "../model/Supervision.ts"
import type { Tokenizer } from "../model/Tokenizer.ts"
import { MetricLog } from "../pipeline/Metrics.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as Bleu from "./Bleu.ts"
import * as Chrf from "./Chrf.ts"
import * as EvaluationStage from "./EvaluationStage.ts"
import * as ExactMatch from "./ExactMatch.ts"
import * as Rouge from "./Rouge.ts"
import * as TokenF1 from "./TokenF1.ts"

/**
 * What the model wrote in one conversation, and what it should have written, in chats without white space around them.
 * Scores are between 0 and 1.
 */
export const GenerationPrediction = Schema.Struct({
  ...EvaluationStage.example,
  /** What it was given, special tokens included. */
  prompt: Schema.String,
  reference: Schema.String,
  generated: Schema.String,
  /** Whether they are equal, character by character. */
  exactMatch: Schema.Boolean,
  /** The same in lower case, without punctuation, English articles and superfluous spaces. */
  normalizedExactMatch: Schema.Boolean,
  tokenF1: Schema.Number,
  rougeL: Schema.Number,
  /** How many tokens were generated. */
  tokens: Schema.Int,
  /** Why the text ends. */
  stopped: Generation.Stopped
})
export type GenerationPrediction = typeof GenerationPrediction.Type

/** How what a language model writes compares with what it should, on one side of a split. */
export class GenerationEvaluation extends Schema.Class<GenerationEvaluation>("attune/GenerationEvaluation")({
  kind: Schema.tag("generation-evaluation"),
  split: EvaluationStage.Side,
  examples: Schema.Int,
  /** The share of texts that are the reference, character by character. */
  exactMatch: Schema.Number,
  /** The same as SQuAD compares: in lower case, without punctuation, English articles and superfluous spaces. */
  normalizedExactMatch: Schema.Number,
  /** The mean F1 of words, between 0 and 1. */
  tokenF1: Schema.Number,
  /** The mean F1 of ROUGE-L, between 0 and 1. */
  rougeL: Schema.Number,
  /** BLEU of the corpus, from 0 to 100. */
  bleu: Schema.Number,
  /** chrF of the corpus, from 0 to 100. */
  chrf: Schema.Number,
  /** How many tokens were generated. */
  tokens: Schema.Int,
  /** How many texts ended for each reason. Many at `maximumNewTokens` say that the model does not know where to stop. */
  stopped: Schema.Struct({
    endOfText: Schema.Int,
    stopString: Schema.Int,
    maximumNewTokens: Schema.Int,
    positions: Schema.Int
  }),
  predictions: Artifact.table(GenerationPrediction)
}) {}

const { fields } = Sampling.Settings

/**
 * The token with which the template ends an answer, which a base model need not name among its ends of text; none where
 * an answer ends with plain text.
 */
const endOfAnswer = (tokenizer: Tokenizer, rows: ReadonlyArray<Conversation.Conversation>, template: ChatTemplate) =>
  Supervision.encode(tokenizer, rows.filter((row) => Conversation.kindOf(row) === "chat").slice(0, 1), {
    loss: "last-assistant",
    maximumLength: Infinity,
    truncation: "fail",
    template
  }).pipe(
    Effect.map(({ examples: [example] }) => {
      const last = example?.labels.findLast((label) => label >= 0)
      return last !== undefined && tokenizer.decode([last], { skipSpecialTokens: true }) === "" ? [last] : []
    }),
    // A template that cannot be learned from can be asked with all the same.
    Effect.orElseSucceed((): ReadonlyArray<number> => [])
  )

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

/**
 * Lets a model write what each conversation ends with, the completion of a prompt or the last answer of a chat, and
 * compares. The most likely token is taken each time unless `temperature` says otherwise; a draw depends on nothing but
 * `seed` and the conversation.
 */
export const EvaluateGenerations = Stage.make("evaluate-generations", {
  inputs: {
    model: PretrainedModel.PretrainedModel,
    split: Schema.Union([ValidationConversations, TestConversations])
  },
  params: {
    maximumNewTokens: Stage.withDefault(Schema.Int.check(Schema.isGreaterThan(0)), 128),
    temperature: Stage.withDefault(fields.temperature, Sampling.greedy.temperature),
    topK: Stage.withDefault(fields.topK, Sampling.greedy.topK),
    topP: Stage.withDefault(fields.topP, Sampling.greedy.topP),
    minP: Stage.withDefault(fields.minP, Sampling.greedy.minP),
    repetitionPenalty: Stage.withDefault(fields.repetitionPenalty, Sampling.greedy.repetitionPenalty),
    seed: Stage.withDefault(Schema.Int, 0),
    /** A text ends before the first of these. */
    stopStrings: Stage.withDefault(Schema.Array(Schema.String), []),
    longPrompts: Stage.withDefault(Generation.LongPrompts, "fail"),
    /** What a word is to ROUGE: `ascii` as it is published, which sees none in other alphabets, or `unicode`. */
    rougeWords: Stage.withDefault(Schema.Literals(["ascii", "unicode"]), "ascii")
  },
  output: GenerationEvaluation,
  error: Schema.Union([
    Generation.GenerationFailure,
    Supervision.SupervisionError,
    ChatTemplateError,
    EvaluationStage.EvaluationError
  ]),
  ...EvaluationStage.stage,
  run: Effect.fn("EvaluateGenerations")(function*(
    { model, split },
    { longPrompts, maximumNewTokens, rougeWords, seed, stopStrings, ...sampling }
  ) {
    const { checkpoint, tokenizer } = yield* EvaluationStage.load(model, "causal-language-modeling", {
      maximumLength: null
    })
    const side = split.kind === "test-conversations" ? "test" : "validation"
    const rows = yield* Artifact.readTable(Conversation.Conversation, split.examples)
    const template = Supervision.needsTemplate(rows)
      ? yield* Checkpoint.chatTemplateOf(checkpoint, tokenizer)
      : undefined
    const questions = yield* Effect.forEach(
      rows,
      (conversation, index) => Effect.fromResult(Supervision.ask(tokenizer, conversation, { row: index + 1, template }))
    )
    const identities = rows.map(Conversation.identity)
    const { log } = yield* MetricLog
    const texts = yield* Generation.generate({
      checkpoint,
      prompts: questions.map(({ tokens }) => tokens),
      names: identities,
      sampling,
      seed,
      maximumNewTokens,
      stopStrings,
      stopTokens: template === undefined ? [] : yield* endOfAnswer(tokenizer, rows, template),
      longPrompts,
      onEnded: (ended) => log({ step: ended, steps: rows.length, split: side, values: {} })
    })
    const words = rougeWords === "ascii" ? Rouge.asciiWords : Rouge.unicodeWords
    const scored = texts.map(({ stopped, text: written, tokens }, index): GenerationPrediction => {
      const { answer: expected, tokens: prompt } = questions[index]!
      // Around an answer in a chat it is the template that decides on white space.
      const within = Conversation.kindOf(rows[index]!) === "chat"
        ? (text: string) => text.trim()
        : (text: string) => text
      const text = within(written), answer = within(expected)
      return {
        split: side,
        example: identities[index]!,
        prompt: tokenizer.decode(prompt),
        reference: answer,
        generated: text,
        exactMatch: ExactMatch.strict(text, [answer]) === 1,
        normalizedExactMatch: ExactMatch.squad(text, [answer]) === 1,
        tokenF1: TokenF1.score(text, [answer]),
        rougeL: Rouge.sentence(text, [answer], words).f1,
        tokens: tokens.length,
        stopped
      }
    })
    const generated = scored.map((one) => one.generated), references = scored.map(({ reference }) => [reference])
    const stopped = (reason: Generation.Stopped) => scored.filter((one) => one.stopped === reason).length
    return new GenerationEvaluation({
      split: side,
      examples: rows.length,
      exactMatch: mean(scored.map(({ exactMatch }) => exactMatch ? 1 : 0)),
      normalizedExactMatch: mean(scored.map(({ normalizedExactMatch }) => normalizedExactMatch ? 1 : 0)),
      tokenF1: mean(scored.map(({ tokenF1 }) => tokenF1)),
      rougeL: mean(scored.map(({ rougeL }) => rougeL)),
      bleu: Bleu.evaluate(generated, references).bleu,
      chrf: Chrf.evaluate(generated, references),
      tokens: scored.reduce((sum, { tokens }) => sum + tokens, 0),
      stopped: {
        endOfText: stopped("end-of-text"),
        stopString: stopped("stop-string"),
        maximumNewTokens: stopped("maximum-new-tokens"),
        positions: stopped("positions")
      },
      predictions: yield* Artifact.writeTable("predictions", GenerationPrediction, scored)
    })
  })
})
