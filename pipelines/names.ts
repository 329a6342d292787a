/**
 * The names of the main job and how they are split: shared by the pipeline that
 * pre-trains the base model and by the one that fine-tunes it, so that neither
 * sees what the other must keep apart.
 */
import { LoadExamples, Node, Source, SplitExamples } from "attune"

const loaded = LoadExamples(
  { file: Source.file(new URL("../data/language-names.parquet", import.meta.url)) },
  { text: "name", label: "language" }
)

/** A few dozen labelled names a language; all others are unlabelled text. */
export const names = SplitExamples({ examples: Node.at(loaded, "examples") }, {
  by: { perLabel: { train: 24, validation: 24, test: 30 } },
  seed: 0
})
