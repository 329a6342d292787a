/**
 * Attune: hyperparameter tuning of fine-tuning runs, as typed pipelines.
 *
 * Modules are namespaces (`Stage.make`, `Space.logUniform`); the stages that
 * come with Attune, and the types of what they pass on, are exported by name.
 */

// Pipelines
export * as Errors from "./pipeline/Errors.ts"
export { Executor } from "./pipeline/Executor.ts"
export * as Metrics from "./pipeline/Metrics.ts"
export * as Node from "./pipeline/Node.ts"
export * as Pipeline from "./pipeline/Pipeline.ts"
export { type PipelineEvent, Progress, type StudyOutcome, type TrialOutcome } from "./pipeline/Progress.ts"
export { Selection } from "./pipeline/Selection.ts"
export * as Source from "./pipeline/Source.ts"
export * as Stage from "./pipeline/Stage.ts"

// Where things are kept and run
export * as Local from "./executor/Local.ts"
export * as Workers from "./executor/Workers.ts"
export * as Artifact from "./store/Artifact.ts"
export * as Columns from "./store/Columns.ts"
export * as Digest from "./store/Digest.ts"
export * as Parquet from "./store/Parquet.ts"
export { Store } from "./store/Store.ts"
export { StoreError } from "./store/StoreError.ts"
export { Backend } from "./tensor/Backend.ts"

// Search
export * as Importance from "./search/importance/Importance.ts"
export * as Pareto from "./search/Pareto.ts"
export * as Sampler from "./search/Sampler.ts"
export * as Auto from "./search/samplers/Auto.ts"
export * as CmaEs from "./search/samplers/CmaEs.ts"
export * as GaussianProcessSampler from "./search/samplers/GaussianProcessSampler.ts"
export * as Grid from "./search/samplers/Grid.ts"
export * as RandomSampler from "./search/samplers/RandomSampler.ts"
export * as Sobol from "./search/samplers/Sobol.ts"
export * as TreeParzen from "./search/samplers/TreeParzen.ts"
export type * as Scheduler from "./search/Scheduler.ts"
export * as Asha from "./search/schedulers/Asha.ts"
export * as FreezeThaw from "./search/schedulers/FreezeThaw.ts"
export * as FullBudget from "./search/schedulers/FullBudget.ts"
export * as Hyperband from "./search/schedulers/Hyperband.ts"
export * as MedianStopping from "./search/schedulers/MedianStopping.ts"
export * as Patience from "./search/schedulers/Patience.ts"
export * as PercentileStopping from "./search/schedulers/PercentileStopping.ts"
export * as StoppingRules from "./search/schedulers/StoppingRules.ts"
export * as SuccessiveHalving from "./search/schedulers/SuccessiveHalving.ts"
export * as Threshold from "./search/schedulers/Threshold.ts"
export * as Space from "./search/space/Space.ts"
export * as StoredParams from "./search/space/StoredParams.ts"
export * as Study from "./search/Study.ts"

// Results
export * as Importances from "./results/Importances.ts"
export * as Query from "./results/Query.ts"
export * as StoredStudy from "./results/StoredStudy.ts"
export * as Tables from "./results/Tables.ts"

// Data
export {
  CheckLeakage,
  CheckLeakageOfConversations,
  CheckLeakageOfScores,
  CheckLeakageOfTags,
  LeakageFound,
  LeakageSummary
} from "./dataset/CheckLeakage.ts"
export * as Conversation from "./dataset/Conversation.ts"
export { BadRow, DataError } from "./dataset/DataError.ts"
export * as HubFolder from "./dataset/HubFolder.ts"
export { LabeledText } from "./dataset/LabeledText.ts"
export { LoadConversations } from "./dataset/LoadConversations.ts"
export { LoadExamples, Rejected } from "./dataset/LoadExamples.ts"
export { LoadScores } from "./dataset/LoadScores.ts"
export { LoadTags } from "./dataset/LoadTags.ts"
export { OpenTest, OpenTestConversations, OpenTestScores, OpenTestTags } from "./dataset/OpenTest.ts"
export * as Read from "./dataset/Read.ts"
export { ScoredText } from "./dataset/ScoredText.ts"
export * as Split from "./dataset/Split.ts"
export { SplitConversations } from "./dataset/SplitConversations.ts"
export { SplitExamples } from "./dataset/SplitExamples.ts"
export {
  SealedTestConversations,
  SealedTestScores,
  SealedTestSplit,
  SealedTestTags,
  TestConversations,
  TestScores,
  TestSplit,
  TestTags,
  TrainConversations,
  TrainScores,
  TrainSplit,
  TrainTags,
  ValidationConversations,
  ValidationScores,
  ValidationSplit,
  ValidationTags
} from "./dataset/Splits.ts"
export { SplitScores } from "./dataset/SplitScores.ts"
export { SplitTags } from "./dataset/SplitTags.ts"
export { TaggedWords } from "./dataset/TaggedWords.ts"

// Models
export * as Adapter from "./model/Adapter.ts"
export * as Checkpoint from "./model/Checkpoint.ts"
export * as Generation from "./model/Generation.ts"
export * as Gpt2 from "./model/Gpt2.ts"
export * as Hub from "./model/Hub.ts"
export { InitializeModel } from "./model/InitializeModel.ts"
export * as Llama from "./model/Llama.ts"
export { LoadModel } from "./model/LoadModel.ts"
export * as Lora from "./model/Lora.ts"
export { MergeAdapter } from "./model/MergeAdapter.ts"
export * as PretrainedModel from "./model/PretrainedModel.ts"
export * as Sampling from "./model/Sampling.ts"
export * as Tokenizer from "./model/Tokenizer.ts"
export { PackagedModel, PackageModel } from "./publish/PackageModel.ts"
export * as Random from "./random/Random.ts"

// Fine-tuning
export { FineTune, FineTuneConversations, FineTuneScores, FineTuneTags } from "./finetune/FineTune.ts"
export { Pretrain, Text } from "./finetune/Pretrain.ts"
export {
  fineTuneConversationsThrough,
  fineTuneScoresThrough,
  fineTuneTagsThrough,
  fineTuneThrough
} from "./finetune/Rungs.ts"
export { FineTuned } from "./finetune/Training.ts"

// Evaluation
export { ClassScores, Evaluate, Evaluation, Prediction } from "./evaluate/Evaluate.ts"
export { EvaluateGenerations, GenerationEvaluation, GenerationPrediction } from "./evaluate/EvaluateGenerations.ts"
export {
  EvaluateLanguageModel,
  LanguageModelEvaluation,
  LanguageModelPrediction
} from "./evaluate/EvaluateLanguageModel.ts"
export { EvaluateScores, ScoreEvaluation, ScorePrediction } from "./evaluate/EvaluateScores.ts"
export { EvaluateTags, TagEvaluation, TagPrediction } from "./evaluate/EvaluateTags.ts"
export * as Predict from "./evaluate/Predict.ts"

// Scores, intervals, tests
export * as Bleu from "./evaluate/Bleu.ts"
export * as Chrf from "./evaluate/Chrf.ts"
export * as Classification from "./evaluate/Classification.ts"
export * as ClassProbabilities from "./evaluate/ClassProbabilities.ts"
export * as ExactMatch from "./evaluate/ExactMatch.ts"
export * as LanguageModel from "./evaluate/LanguageModel.ts"
export * as Regression from "./evaluate/Regression.ts"
export * as Rouge from "./evaluate/Rouge.ts"
export * as Tagging from "./evaluate/Tagging.ts"
export * as TokenF1 from "./evaluate/TokenF1.ts"
export * as Bootstrap from "./statistics/Bootstrap.ts"
export * as MultipleTesting from "./statistics/MultipleTesting.ts"
export * as PairedTest from "./statistics/PairedTest.ts"
export * as TwoWayBootstrap from "./statistics/TwoWayBootstrap.ts"
