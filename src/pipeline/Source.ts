/**
 * Nodes for what lies outside the store: files the user keeps. They are read at
 * every run, so that a file that changed reruns what depends on it.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { ExternalFile } from "../store/Artifact.ts"
import * as Digest from "../store/Digest.ts"
import * as Node from "./Node.ts"

/** A file that a pipeline names cannot be read. */
export class SourceError extends Schema.TaggedError<SourceError>()("SourceError", {
  path: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `Cannot read ${this.path}: ${this.detail}`
  }
}

/**
 * A file, by path (relative to the working directory) or by URL, such as
 * `new URL("../data/names.csv", import.meta.url)`. Only its content counts
 * downstream: moved or renamed, it is the same.
 */
export const file = (location: string | URL): Node.Node<ExternalFile, SourceError> => {
  const absolute = resolve(location)
  return Node.make(path.basename(absolute), ExternalFile, {
    _tag: "Source",
    description: path.basename(absolute),
    read: read(absolute)
  })
}

/**
 * All files of a folder whose names end in `extension`, in the order of their
 * names: a table in several parts, or a model in the layout of the hub.
 */
export const folder = (
  location: string | URL,
  extension = ""
): Node.Node<ReadonlyArray<ExternalFile>, SourceError> => {
  const absolute = resolve(location)
  return Node.make(path.basename(absolute), Schema.Array(ExternalFile), {
    _tag: "Source",
    description: `${path.basename(absolute)}/`,
    read: Effect.gen(function*() {
      const names = yield* attempt(absolute, () =>
        fs.readdirSync(absolute, { withFileTypes: true })
          .filter((entry) => entry.isFile() && entry.name.endsWith(extension))
          .map((entry) => entry.name)
          .toSorted())
      if (names.length === 0) {
        return yield* new SourceError({ path: absolute, detail: `the folder has no file that ends in "${extension}"` })
      }
      return yield* Effect.forEach(names, (name) => read(path.join(absolute, name)))
    })
  })
}

const resolve = (location: string | URL): string =>
  location instanceof URL ? fileURLToPath(location) : path.resolve(location)

const attempt = <A>(location: string, body: () => A): Effect.Effect<A, SourceError> =>
  Effect.try({
    try: body,
    catch: (cause) => {
      const { code, message } = cause as NodeJS.ErrnoException
      const detail = code === "ENOENT"
        ? "there is no such file"
        : code === "EISDIR"
        ? "it is a folder; use Source.folder"
        : message
      return new SourceError({ path: location, detail })
    }
  })

const chunkBytes = 1 << 20

const read = (location: string): Effect.Effect<ExternalFile, SourceError> =>
  attempt(location, () => {
    const hasher = Digest.hasher()
    const chunk = Buffer.alloc(chunkBytes)
    const descriptor = fs.openSync(location, "r")
    let bytes = 0
    try {
      for (let read = fs.readSync(descriptor, chunk); read > 0; read = fs.readSync(descriptor, chunk)) {
        hasher.update(chunk.subarray(0, read))
        bytes += read
      }
    } finally {
      fs.closeSync(descriptor)
    }
    return {
      $artifact: "external" as const,
      name: path.basename(location),
      digest: hasher.digest(),
      bytes,
      path: location
    }
  })
