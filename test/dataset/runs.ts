/** Pipelines over files of a test's own, in a store in memory. */
import { Cause, Effect, Exit, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Local from "../../src/executor/Local.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import { Store } from "../../src/store/Store.ts"

const TestLayer = Layer.mergeAll(
  Store.layerMemory,
  Local.layer(),
  Layer.succeed(CodeIdentity, () => Effect.succeed("1"))
)

export const fresh = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Effect.provide(TestLayer, { local: true }))

/** A folder with these files, gone when the test ends. Names may have folders in them. */
export const folder = (files: Readonly<Record<string, string | Uint8Array>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const location = fs.mkdtempSync(path.join(os.tmpdir(), "attune-data-"))
      for (const [name, content] of Object.entries(files)) {
        fs.mkdirSync(path.dirname(path.join(location, name)), { recursive: true })
        fs.writeFileSync(path.join(location, name), content)
      }
      return location
    }),
    (location) => Effect.sync(() => fs.rmSync(location, { recursive: true }))
  )

export const file = (name: string, content: string | Uint8Array) =>
  Effect.map(folder({ [name]: content }), (location) => path.join(location, name))

export const lines = (...rows: ReadonlyArray<unknown>): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("")

/** What an effect failed with. */
export const failure = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) throw new Error("it succeeded")
    return Cause.squash(exit.cause) as Error & { readonly _tag: string }
  })
