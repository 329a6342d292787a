/**
 * Copies of artifacts outside the store, where the user asks for them.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as path from "node:path"
import * as Artifact from "./Artifact.ts"
import * as Disk from "./Disk.ts"
import type { ObjectReference } from "./RunRecord.ts"
import { Store } from "./Store.ts"
import { fromCause, StoreError } from "./StoreError.ts"

/**
 * The field whose list of files an artifact stands in: those of a model belong together. `undefined` for one that stands
 * by itself. The list is called after what it is the `files` of.
 */
const listOf = ({ field, kind }: ObjectReference): string | undefined => {
  const list = /^(?:(.*)\.)?\d+$/.exec(field)
  if (kind !== "file" || list === null) return undefined
  const owner = list[1] ?? ""
  return owner === "files" ? "" : owner.replace(/\.files$/, "")
}

const fileName = ({ extension, name }: ObjectReference) =>
  name.endsWith(`.${extension}`) ? name : `${name}.${extension}`

/**
 * Where each artifact of an encoded output goes, below the folder: under its own name. Of two of one name each is told
 * apart by the field it stands in. Files in a list stay together, in a folder that is called after the list's field; a
 * list that is alone needs none.
 */
const places = (references: ReadonlyArray<ObjectReference>): ReadonlyArray<string> => {
  const lists = references.map(listOf)
  const isAlone = references.length > 0 && lists.every((list) => list !== undefined && list === lists[0])
  const names = references.map(fileName)
  const single = names.filter((_, index) => lists[index] === undefined)
  return references.map((reference, index) => {
    const list = lists[index], name = names[index]!
    if (list === undefined) {
      return single.indexOf(name) === single.lastIndexOf(name) ? name : `${reference.field}.${name}`
    }
    // Within a list a name that is there twice is told apart as well.
    const others = names.filter((_, other) => lists[other] === list)
    const file = others.indexOf(name) === others.lastIndexOf(name) ? name : `${reference.field}.${name}`
    return isAlone ? file : `${list === "" ? "files" : list}/${file}`
  })
}

const isPlain = (name: string): boolean => name === path.basename(name) && !name.startsWith(".") && !name.includes("\\")

/**
 * Writes every artifact of an encoded output into a folder, as {@link places} says, replacing files of that name. Answers
 * their absolute paths.
 */
export const toFolder = Effect.fnUntraced(function*(
  output: Schema.Json,
  folder: string
): Effect.fn.Return<ReadonlyArray<string>, StoreError, Store> {
  const store = yield* Store
  const root = path.resolve(folder)
  const disk = Disk.folder(root)
  const references = Artifact.references(output)
  const files = places(references)
  for (const file of files) {
    const parts = file.split("/")
    if (parts.length > 2 || !parts.every(isPlain)) {
      return yield* new StoreError({
        operation: `export "${file}"`,
        path: folder,
        reason: "other",
        detail: "its name is not that of a plain file"
      })
    }
  }
  const written: Array<string> = []
  for (const [index, reference] of references.entries()) {
    const file = files[index]!
    const bytes = yield* store.getObject(reference)
    yield* Effect.try({
      try: () => disk.write(file, bytes),
      catch: fromCause(`export "${file}"`, path.join(folder, file))
    })
    written.push(path.join(root, file))
  }
  return written
})
