/**
 * Loads the file of a pipeline, in the driver and in its workers alike.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import { registerHooks } from "node:module"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { describe } from "../pipeline/Errors.ts"
import type * as Node from "../pipeline/Node.ts"
import * as Pipeline from "../pipeline/Pipeline.ts"

/** The file of a pipeline cannot be used. */
export class PipelineFileError extends Schema.TaggedError<PipelineFileError>()("PipelineFileError", {
  file: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.file}: ${this.detail}`
  }
}

/**
 * A pipeline must see this very copy of Attune and of Effect: schemas and
 * services of another copy are strangers to ours. So both names resolve to what
 * this process has loaded, wherever the pipeline lies.
 *
 * And a `.ts` file of the user's is a module, whatever `type` their package.json
 * states: `npm init` writes one that says otherwise.
 */
const hookLoader = () => {
  const here = import.meta.url
  const self = new URL(here.endsWith(".ts") ? "../index.ts" : "../index.js", here).href
  registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier === "attune") return { url: self, shortCircuit: true }
      if (/^effect(\/|$)/.test(specifier)) return next(specifier, { ...context, parentURL: here })
      const resolved = next(specifier, context)
      return /^file:.*\.ts$/.test(resolved.url) && !resolved.url.includes("/node_modules/")
        ? { ...resolved, format: "module-typescript" }
        : resolved
    }
  })
}

let hooked = false

/** Imports a pipeline file and finds the pipeline it exports as default. */
export const load = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<Pipeline.Any, PipelineFileError> {
  const absolute = path.resolve(file)
  const failed = (detail: string) => new PipelineFileError({ file, detail })
  if (!fs.existsSync(absolute)) return yield* failed("there is no such file")
  if (!/\.[cm]?[jt]s$/.test(absolute)) return yield* failed("a pipeline is a TypeScript or JavaScript file")
  if (!hooked) {
    hookLoader()
    hooked = true
  }
  const module = yield* Effect.tryPromise({
    try: () => import(pathToFileURL(absolute).href) as Promise<Readonly<Record<string, unknown>>>,
    catch: (cause) => failed(`it does not load: ${explain(cause, absolute)}`)
  })
  const pipeline = Pipeline.fromExport(module["default"])
  if (pipeline !== undefined) return pipeline
  const found = module["default"] === undefined ? "it has no default export" : "its default export is something else"
  return yield* failed(`expected a node or Pipeline.make({...}) as the default export, but ${found}`)
})

/** The node of a pipeline under the given settings, as `name=value` texts or as encoded JSON. */
export const wire = Effect.fnUntraced(function*(
  file: string,
  pipeline: Pipeline.Any,
  settings: unknown
): Effect.fn.Return<Node.Any, PipelineFileError> {
  return yield* Effect.try({
    try: () => pipeline.node(settings as never) as Node.Any,
    catch: (cause) =>
      new PipelineFileError({ file, detail: `its graph cannot be built: ${explain(cause, path.resolve(file))}` })
  })
})

/** What went wrong and where in the user's file, without the stack. */
const explain = (cause: unknown, file: string): string => {
  const stack = cause instanceof Error ? cause.stack ?? "" : ""
  const name = path.basename(file).replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
  const position = new RegExp(`${name}:(\\d+)`).exec(stack)?.[1]
  const message = describe(cause).split("\n")[0]!
  return position === undefined ? message : `line ${position}: ${message}`
}
