import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as PipelineFile from "../../src/executor/PipelineFile.ts"
import * as Codec from "../../src/pipeline/Codec.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"

const folder = fileURLToPath(new URL("../../pipelines/", import.meta.url))
const isPipeline = (file: string) => /^export default /m.test(fs.readFileSync(path.join(folder, file), "utf8"))

describe("the pipelines that ship", () => {
  const files = fs.readdirSync(folder).filter(isPipeline)

  it("are there", () => assert.includeMembers(files, ["language-id.ts", "language-names.ts", "pretrain-base.ts"]))

  it.live.each(files)("%s loads, takes its default settings, and draws its graph", (file) =>
    Effect.gen(function*() {
      const pipeline = yield* PipelineFile.load(path.join(folder, file))
      const settings = yield* Codec.construct(pipeline.settings, {})
      const node = yield* PipelineFile.wire(file, pipeline, settings)
      assert.match(Pipeline.toMermaid(node), /^flowchart LR\n/)
      assert.match(Pipeline.toDot(node), /^digraph "?pipeline"? \{/)
    }))
})
