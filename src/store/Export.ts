/**
 * Copies of artifacts outside the store, where the user asks for them.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as path from "node:path"
import * as Artifact from "./Artifact.ts"
import * as Disk from "./Disk.ts"
import { Store } from "./Store.ts"
import { fromCause, StoreError } from "./StoreError.ts"

/**
 * Writes every artifact of an encoded output into a folder, under its own name,
 * replacing files of that name. Answers their absolute paths.
 *
 * Two artifacts of one name are told apart by the field they stand in.
 */
export const toFolder = Effect.fnUntraced(function*(
  output: Schema.Json,
  folder: string
): Effect.fn.Return<ReadonlyArray<string>, StoreError, Store> {
  const store = yield* Store
  const disk = Disk.folder(path.resolve(folder))
  const references = Artifact.references(output)
  const names = references.map(({ extension, name }) => name.endsWith(`.${extension}`) ? name : `${name}.${extension}`)
  const written: Array<string> = []
  for (const [index, reference] of references.entries()) {
    const name = names[index]!
    const isUnique = names.indexOf(name) === names.lastIndexOf(name)
    const file = isUnique ? name : `${reference.field}.${name}`
    if (file !== path.basename(file) || file.startsWith(".")) {
      return yield* new StoreError({
        operation: `export "${file}"`,
        path: folder,
        reason: "other",
        detail: "its name is not that of a plain file"
      })
    }
    const bytes = yield* store.getObject(reference)
    yield* Effect.try({
      try: () => disk.write(file, bytes),
      catch: fromCause(`export "${file}"`, path.join(folder, file))
    })
    written.push(path.join(path.resolve(folder), file))
  }
  return written
})
