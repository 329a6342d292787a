/**
 * The identity of a stage's code, as it enters the key of its runs.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fingerprint from "../fingerprint/Fingerprint.ts"
import * as Digest from "../store/Digest.ts"
import type { Definition } from "./Definition.ts"
import { describe, StageUnavailable } from "./Errors.ts"

/**
 * How the code of a stage is told apart: by default the hash of the syntax tree
 * of its effect and of every helper and constant of the project that it reaches,
 * together with its `version` if it states one.
 */
export const CodeIdentity = Context.Reference<(stage: Definition) => Effect.Effect<string, StageUnavailable>>(
  "attune/pipeline/CodeIdentity",
  { defaultValue: () => analysed }
)

const known = new WeakMap<Definition, string>()

/** Where Attune itself runs from its sources, they count like the project's own. */
const sources = import.meta.url.endsWith(".ts") ? new URL("../index.ts", import.meta.url).href : undefined

let analyser: ReturnType<typeof Fingerprint.make> | undefined

const analysed = (stage: Definition): Effect.Effect<string, StageUnavailable> =>
  Effect.try({
    try: () => {
      const found = known.get(stage)
      if (found !== undefined) return found
      if (stage.site === undefined) throw new Error("it cannot be told which file defines it; give it a version")
      analyser ??= Fingerprint.make(sources === undefined ? {} : { self: { name: "attune", entry: sources } })
      const { digest } = analyser.ofStage({ file: stage.site.file, name: stage.name, line: stage.site.line })
      const identity = stage.version === undefined ? digest : Digest.ofJson({ code: digest, version: stage.version })
      known.set(stage, identity)
      return identity
    },
    catch: (cause) => new StageUnavailable({ stage: stage.name, detail: describe(cause) })
  })
