import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import { ExternalFile } from "../store/Artifact.ts"
import * as Adapter from "./Adapter.ts"
import * as PretrainedModel from "./PretrainedModel.ts"

/**
 * Loads a pre-trained model from a folder in the layout of the Hugging Face hub
 * (config.json, model.safetensors, tokenizer.json, tokenizer_config.json), as
 * `Source.folder` gives it. The files are checked and copied into the store.
 *
 * With `adapter`, the folder of an adapter in PEFT's format (adapter_config.json,
 * adapter_model.safetensors), it is the model with that adapter. A tokenizer in
 * that folder takes the place of the model's own.
 */
export const LoadModel = Stage.make("load-model", {
  inputs: { files: Schema.Array(ExternalFile), adapter: Schema.optionalKey(Schema.Array(ExternalFile)) },
  params: {},
  output: PretrainedModel.PretrainedModel,
  error: PretrainedModel.ModelError,
  run: Effect.fn("LoadModel")(function*({ adapter, files }) {
    if (adapter !== undefined && !adapter.some(({ name }) => name === Adapter.fileNames.config)) {
      return yield* new Adapter.InvalidAdapter({
        field: "folder",
        reason: `has no ${Adapter.fileNames.config}; it has ${adapter.map(({ name }) => name).join(", ") || "no file"}`
      })
    }
    const all = adapter === undefined ? files : PretrainedModel.withAdapterFiles(files, adapter)
    return yield* PretrainedModel.store(yield* PretrainedModel.load(all))
  })
})
