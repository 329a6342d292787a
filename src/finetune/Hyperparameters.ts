/**
 * What a person may turn on a fine-tuning run: each knob with its default, a sentence on what it does, and, where it is
 * worth searching, where to look.
 *
 * Defaults are those of transformers' `TrainingArguments` (5.18) where it has the knob, and of PEFT's `LoraConfig` (0.21)
 * for adapters, but where it is said otherwise.
 */
import * as Schema from "effect/Schema"
import { Targets } from "../model/AdapterTargets.ts"
import * as Lora from "../model/Lora.ts"
import * as Supervision from "../model/Supervision.ts"
import { document, searched, searchedOfAdapter } from "../pipeline/Hyperparameter.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Optimizer from "./Optimizer.ts"
import * as Schedule from "./Schedule.ts"

const NonNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const BelowOne = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))
const Count = Schema.Int.check(Schema.isGreaterThan(0))
const Whole = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const withDefault = Stage.withDefault

const trainer = "transformers, TrainingArguments"
const peft = "PEFT, LoraConfig"
const withoutRegret = "Schulman et al. 2025, LoRA Without Regret"

/** Every knob of a run, and what is said of it. */
export const knobs = {
  // Optimisation
  learningRate: searched(NonNegative, {
    description: "The peak of the schedule. The one that matters most.",
    source: `${withoutRegret} (ten times higher for LoRA); Devlin et al. 2019, A.3 (classifiers); Axolotl's FAQ`,
    search: ({ adapter }) =>
      adapter !== "none"
        ? { scale: "log", min: 1e-5, max: 1e-3, default: 3e-4 }
        : { scale: "log", min: 5e-6, max: 2e-4, default: 2e-5 }
  }),
  optimizer: document(withDefault(Optimizer.Name, "adamw"), {
    description: "How gradients become updates.",
    source: `${trainer}, optim`
  }),
  beta1: document(withDefault(Schema.NullOr(BelowOne), null), {
    description: "Decay of the mean of gradients; null is the optimizer's own default.",
    source: `${trainer}, adam_beta1`
  }),
  beta2: document(withDefault(Schema.NullOr(BelowOne), null), {
    description: "Decay of the mean of squared gradients (Lion: of the momentum); null is the optimizer's own default.",
    source: `${trainer}, adam_beta2; Marek et al. 2025: for small batches keep its half-life in tokens`
  }),
  epsilon: document(withDefault(Schema.NullOr(Positive), null), {
    description:
      "Added to the root of the second moment (AdamW, Adam, Muon's AdamW); null is the optimizer's own default.",
    source: `${trainer}, adam_epsilon`
  }),
  momentum: document(withDefault(Schema.NullOr(BelowOne), null), {
    description: "Of SGD and Muon; null is the optimizer's own default.",
    source: "torch.optim"
  }),
  weightDecay: searched(withDefault(NonNegative, 0), {
    description: "Decoupled decay of weight matrices, multiplied by the learning rate; biases and norms do not decay.",
    source: `${trainer}, weight_decay; Loshchilov and Hutter 2019`,
    search: () => ({ values: [0, 0.01, 0.1], default: 0.01 })
  }),
  schedule: searched(withDefault(Schedule.Name, "linear"), {
    description: "The course of the learning rate after the warm-up.",
    source: `${trainer}, lr_scheduler_type`,
    search: () => ({ values: ["linear", "cosine", "warmup-stable-decay"] as const, default: "linear" as const })
  }),
  warmupRatio: searched(withDefault(Share, 0), {
    description: "The share of all steps in which the learning rate grows from zero.",
    source: `${trainer}, warmup_ratio; Mosbach et al. 2021 (0.1)`,
    search: () => ({ values: [0, 0.03, 0.1], default: 0.03 })
  }),
  warmupSteps: document(withDefault(Whole, 0), {
    description: "Steps in which the learning rate grows from zero; above zero it counts in place of the ratio.",
    source: `${trainer}, warmup_steps`
  }),
  minimumRate: document(withDefault(Share, 0), {
    description: "The floor of a schedule that falls, as a share of the peak.",
    source: "transformers, get_cosine_with_min_lr_schedule_with_warmup"
  }),
  cycles: document(withDefault(Count, 1), {
    description: "Of cosine-with-restarts: how often it begins anew.",
    source: "transformers, get_cosine_with_hard_restarts_schedule_with_warmup"
  }),
  power: document(withDefault(Positive, 1), {
    description: "Of the polynomial schedule.",
    source: "transformers, get_polynomial_decay_schedule_with_warmup"
  }),
  decayRatio: document(withDefault(Share, 0.2), {
    description: "Of warmup-stable-decay: the share of all steps in which the learning rate falls at the end.",
    source: "Hägele et al. 2024, Scaling laws and compute-optimal training beyond fixed training durations (0.2)"
  }),
  maxGradientNorm: document(withDefault(Positive, 1), {
    description: "Gradients are scaled down to this norm over all trained parameters.",
    source: `${trainer}, max_grad_norm`
  }),
  labelSmoothing: document(withDefault(BelowOne, 0), {
    description: "The share of the target's probability that is spread over all classes.",
    source: `${trainer}, label_smoothing_factor; Szegedy et al. 2016, section 7`
  }),
  dropout: document(withDefault(Schema.NullOr(BelowOne), null), {
    description:
      "The probability of dropping, at every place where the model drops; null is each place's own by config.json.",
    source: "Srivastava et al. 2014"
  }),
  emaDecay: document(withDefault(BelowOne, 0), {
    description: "Decay of the moving average of weights that becomes the model; 0 takes the last weights.",
    source: "torch.optim.swa_utils, get_ema_multi_avg_fn"
  }),

  // Batches
  batchSize: searched(withDefault(Count, 8), {
    description: "Rows of a step: texts, or packed rows of texts.",
    source: `${trainer}, per_device_train_batch_size; ${withoutRegret} (below 32 for LoRA)`,
    search: ({ adapter }) =>
      adapter !== "none" ? { values: [8, 16, 32], default: 16 } : { values: [8, 16, 32, 64], default: 16 }
  }),
  microBatchSize: document(withDefault(Schema.NullOr(Count), null), {
    description:
      "Rows that are computed at once: the gradients of a step are summed up over so many at a time, and weighted " +
      "by their supervised tokens, so that memory is saved and nothing else changes. null: all of them.",
    source: `${trainer}, gradient_accumulation_steps`
  }),
  epochs: searched(withDefault(Positive, 3), {
    description: "Passes over the examples: the full horizon, which the schedule spans however early a rung stops.",
    source: `${trainer}, num_train_epochs; Mosbach et al. 2021 (20 for small classification sets)`,
    search: () => ({ values: [3, 5, 10, 20], default: 5 })
  }),
  groupByLength: document(withDefault(Schema.Boolean, true), {
    description: "Batches of texts of similar length, which saves padding. (Off in transformers.)",
    source: `${trainer}, group_by_length`
  }),
  maximumLength: document(withDefault(Schema.NullOr(Count), null), {
    description:
      "Texts are cut to so many tokens, and packed rows have so many; null: as many as the model has positions for.",
    source: "TRL, SFTConfig, max_length"
  }),
  packing: document(withDefault(Schema.Boolean, false), {
    description: "Several texts in a row of up to `maximumLength` tokens, kept apart in attention and in positions.",
    source: "TRL, SFTConfig, packing; Krell et al. 2021"
  }),

  // What is trained
  trainedLayers: document(withDefault(Schema.NullOr(Whole), null), {
    description: "Only so many of the topmost layers learn, and the head; null: all, with the embeddings.",
    source: "Lee, Tang and Lin 2019, What would Elsa do? Freezing layers during transformer fine-tuning"
  }),
  layerwiseDecay: document(withDefault(Positive.check(Schema.isLessThanOrEqualTo(1)), 1), {
    description: "Each layer learns at this share of the rate of the layer above it; the head at the full rate.",
    source: "Howard and Ruder 2018 (discriminative fine-tuning); Clark et al. 2020, table 5"
  }),
  adapter: searchedOfAdapter(withDefault(Schema.Literals(["none", "lora", "dora"]), "none"), {
    description: "Train small matrices beside the weights instead of the weights.",
    source: "Hu et al. 2021, LoRA; Liu et al. 2024, DoRA",
    rangeOf: (adapter) => ({ values: [adapter], default: adapter })
  }),
  loraRank: searchedOfAdapter(withDefault(Count, 8), {
    description: "The inner width of an adapter.",
    source: `${peft}, r; ${withoutRegret}`,
    rangeOf: () => ({ values: [8, 16, 32, 64, 128], default: 16 })
  }),
  loraAlpha: searchedOfAdapter(withDefault(Positive, 8), {
    description: "What an adapter adds is multiplied by this over its rank.",
    source: `${peft}, lora_alpha; ${withoutRegret} (32 at every rank)`,
    rangeOf: () => ({ values: [32], default: 32 })
  }),
  loraDropout: searchedOfAdapter(withDefault(BelowOne, 0), {
    description: "The probability of dropping what enters an adapter.",
    source: `${peft}, lora_dropout`,
    rangeOf: () => ({ values: [0, 0.05], default: 0 })
  }),
  loraTargets: document(
    withDefault(Targets, "all-linear"),
    {
      description: "Which linear maps get an adapter: all but the head's, those of attention, some by the ends of " +
        "their names, or those whose whole names match a regular expression.",
      source: `${withoutRegret} (all linear layers; PEFT's own default is attention only)`
    }
  ),
  loraScaling: document(withDefault(Schema.Literals(["standard", "rank-stabilized"]), "standard"), {
    description: "What an adapter adds is multiplied by alpha / rank, or by alpha / √rank.",
    source: "Kalajdzievski 2023, rsLoRA"
  }),
  loraModulesToSave: document(withDefault(Schema.Array(Schema.String), []), {
    description:
      "Modules to train in full beside the adapter, by the ends of their names. A classifier's head always is.",
    source: `${peft}, modules_to_save`
  }),
  gradientCheckpointing: document(withDefault(Schema.Boolean, false), {
    description:
      "Compute each layer anew in the backward pass instead of keeping it: less memory, a third more time, the same bits.",
    source: "Chen et al. 2016"
  }),

  // The run
  evaluateEvery: document(withDefault(Positive, 1), {
    description: "Epochs between evaluations on the validation data, where it is wired.",
    source: `${trainer}, eval_strategy`
  }),
  patience: document(withDefault(Schema.NullOr(Count), null), {
    description: "Stop after so many evaluations in a row that did not lower the validation loss; null: never.",
    source: "transformers, EarlyStoppingCallback"
  }),
  restoreBest: document(withDefault(Schema.Boolean, false), {
    description: "End with the weights of the lowest validation loss instead of the last.",
    source: `${trainer}, load_best_model_at_end`
  }),
  seed: document(
    withDefault(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })), 42),
    {
      description: "Of the order of the examples, of dropout and of new weights.",
      source: `${trainer}, seed`
    }
  )
}

/** The same, with other places to look for a good value: those of language models. */
export const languageModelKnobs = {
  ...knobs,
  learningRate: searched(NonNegative, {
    description: "The peak of the schedule. The one that matters most.",
    source: `${withoutRegret} (ten times higher for LoRA); TRL, SFTConfig (2e-5)`,
    search: ({ adapter }) =>
      adapter !== "none"
        ? { scale: "log", min: 1e-5, max: 1e-3, default: 3e-4 }
        : { scale: "log", min: 1e-6, max: 1e-4, default: 2e-5 }
  }),
  epochs: searched(withDefault(Positive, 3), {
    description: "Passes over the examples: the full horizon, which the schedule spans however early a rung stops.",
    source: `${trainer}, num_train_epochs; Axolotl's FAQ (1 to 3)`,
    search: () => ({ values: [1, 2, 3], default: 2 })
  }),
  loss: document(withDefault(Supervision.Loss, "completions"), {
    description:
      "What is learned of a conversation: completions and answers, answers of chats, the last answer, or everything.",
    source: "TRL, SFTConfig, completion_only_loss and assistant_only_loss"
  }),
  truncation: document(withDefault(Supervision.Truncation, "end"), {
    description:
      "What happens to a conversation that is too long: its end or its start is cut, it is left out, or it is an error.",
    source: "TRL, SFTConfig, truncation_mode"
  })
}

export const Hyperparameters = Schema.Struct(knobs)

export type Hyperparameters = typeof Hyperparameters.Type

/** Every knob at its default. The learning rate, which has none in a stage, at that of transformers. */
export const defaults: Hyperparameters = Hyperparameters.make({ learningRate: 5e-5 })

/** The knobs of the optimizer that were turned, and the optimizer's own defaults for the others. */
export const optimizerOf = (
  { beta1, beta2, epsilon, momentum, optimizer, weightDecay }: Hyperparameters
): Optimizer.Settings => {
  const given = Object.entries({ beta1, beta2, epsilon, momentum, weightDecay }).filter(([, value]) => value !== null)
  return Schema.decodeUnknownSync(Optimizer.Settings)({ name: optimizer, ...Object.fromEntries(given) })
}

/** The adapter that the knobs describe; `undefined` where the weights themselves are trained. */
export const adapterOf = (
  { adapter, loraAlpha, loraDropout, loraModulesToSave, loraRank, loraScaling, loraTargets, trainedLayers }:
    Hyperparameters,
  layers: number
): Lora.Settings | undefined =>
  adapter === "none" ? undefined : Lora.Settings.make({
    variant: adapter,
    rank: loraRank,
    alpha: loraAlpha,
    dropout: loraDropout,
    targets: loraTargets,
    scaling: loraScaling,
    modulesToSave: loraModulesToSave,
    layers: trainedLayers === null
      ? null
      : Array.from({ length: Math.min(trainedLayers, layers) }, (_, i) => layers - 1 - i).toReversed()
  })

/** The schedule that the knobs describe, over so many steps. */
export const scheduleOf = (
  { cycles, decayRatio, minimumRate, power, schedule, warmupRatio, warmupSteps }: Hyperparameters,
  totalSteps: number
): Schedule.Schedule => {
  const settings = Schema.decodeUnknownSync(Schedule.Settings)({
    name: schedule,
    minimumRate,
    cycles,
    power,
    decayRatio
  })
  return Schedule.make(settings, totalSteps, warmupSteps > 0 ? { steps: warmupSteps } : warmupRatio)
}
