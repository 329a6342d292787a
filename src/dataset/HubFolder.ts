/**
 * Folders laid out as the data sets of the Hugging Face hub are: the files of
 * one split, found by their names.
 *
 * The rules are those of the `datasets` library ("Structure your repository" in
 * its documentation), without the ones that a README may add: shards first, as
 * in `data/train-00000-of-00002.parquet`; else folders named after a split, as
 * in `train/part.csv`; else files with the name of a split in theirs, as in
 * `my-train.jsonl`; else all files are for training. The first rule that
 * applies to any file applies to all.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as Node from "../pipeline/Node.ts"
import * as Source from "../pipeline/Source.ts"
import { ExternalFile } from "../store/Artifact.ts"
import type { Store } from "../store/Store.ts"

/** Other names under which a split goes. */
const keywords: Readonly<Record<string, ReadonlyArray<string>>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "val", "dev"],
  test: ["test", "testing", "eval", "evaluation"]
}

const wordsOf = (split: string): ReadonlyArray<string> => keywords[split] ?? [split]

const allWords = Object.values(keywords).flat()

const readable = /\.(csv|tsv|jsonl|ndjson|parquet)$/i

const shard = /^(.+)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.[^.]+$/

/** Whether a word stands in a name between characters that are no letters. */
const names = (name: string, word: string): boolean => {
  const parts = name.toLowerCase().split(/[-._ 0-9]+/)
  return parts.includes(word.toLowerCase())
}

/**
 * Those of `files` (paths relative to the folder, with `/`) that belong to a
 * split; a text says why there are none that can be used.
 */
export const filesOf = (files: ReadonlyArray<string>, split: string): ReadonlyArray<string> | string => {
  const data = files.filter((file) => readable.test(file)).toSorted()
  if (data.length === 0) return "it has no file that ends in .csv, .tsv, .jsonl, .ndjson or .parquet"
  const words = wordsOf(split)
  const shardsOf = (file: string) => shard.exec(path.posix.basename(file))
  const folderOf = (file: string) => path.posix.dirname(file)
  const isSplit = (candidates: ReadonlyArray<string>, has: (file: string, word: string) => boolean) => {
    const known = data.some((file) => [...allWords, ...candidates].some((word) => has(file, word)))
    return known ? data.filter((file) => candidates.some((word) => has(file, word))) : undefined
  }
  const sharded = data.some((file) => shardsOf(file) !== null)
    ? data.filter((file) => words.includes(shardsOf(file)?.[1] ?? ""))
    : undefined
  const found = sharded
    ?? isSplit(words, (file, word) => folderOf(file).split("/").includes(word))
    ?? isSplit(words, (file, word) => names(path.posix.basename(file).replace(readable, ""), word))
    ?? (split === "train" ? data : [])
  if (found.length === 0) return `it has no file of the split "${split}", only ${data.slice(0, 10).join(", ")}`
  const endings = new Set(found.map((file) => path.posix.extname(file).toLowerCase()))
  if (endings.size > 1) {
    return `the split "${split}" is there in several formats (${found.join(", ")}): name one file by Source.file`
  }
  return missingShard(found) ?? found
}

const missingShard = (files: ReadonlyArray<string>): string | undefined => {
  const shards = files.map((file) => shard.exec(path.posix.basename(file))).filter((match) => match !== null)
  const totals = new Set(shards.map((match) => match[3]!))
  if (shards.length === 0) return undefined
  const [total] = totals
  if (totals.size > 1) return `its files are of several sets of shards: ${files.join(", ")}`
  const there = new Set(shards.map((match) => Number(match[2])))
  const missing = Array.from({ length: Number(total) }, (_, index) => index).find((index) => !there.has(index))
  return missing === undefined ? undefined : `shard ${missing} of ${Number(total)} is not there, counted from 0`
}

/** Files of the folder itself and of the folders in it. */
const list = (folder: string): ReadonlyArray<string> =>
  fs.readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith("."))
    .flatMap((entry) => {
      if (entry.isFile()) return [entry.name]
      const inside = entry.name === "data" || allWords.includes(entry.name)
      return entry.isDirectory() && inside
        ? fs.readdirSync(path.join(folder, entry.name), { withFileTypes: true })
          .filter((inner) => inner.isFile() && !inner.name.startsWith("."))
          .map(({ name }) => `${entry.name}/${name}`)
        : []
    })

/**
 * The files of one split of a data set in a folder, to be wired to the `files`
 * of a stage that loads examples: `train`, `validation`, `test`, or another
 * name. Of folders inside, only `data` and those named after a split are looked
 * into: a data set with several configurations has a folder for each, and which
 * one is meant is for you to say.
 */
export const split = (
  location: string | URL,
  name: string
): Node.Node<ReadonlyArray<ExternalFile>, Source.SourceError> => {
  const folder = location instanceof URL ? fileURLToPath(location) : path.resolve(location)
  return Node.make(`${path.basename(folder)}.${name}`, Schema.Array(ExternalFile), {
    _tag: "Source",
    description: `${path.basename(folder)}/ (${name})`,
    read: Effect.gen(function*() {
      const files = yield* Effect.try({
        try: () => list(folder),
        catch: (cause) => {
          const { code, message } = cause as NodeJS.ErrnoException
          const detail = code === "ENOENT"
            ? "there is no such folder"
            : code === "ENOTDIR"
            ? "it is a file; use Source.file"
            : message
          return new Source.SourceError({ path: folder, detail })
        }
      })
      const found = filesOf(files, name)
      if (typeof found === "string") return yield* new Source.SourceError({ path: folder, detail: found })
      return yield* Effect.forEach(found, (file) => read(path.join(folder, file)))
    })
  })
}

/** Reads a file as `Source.file` does. */
const read = (file: string): Effect.Effect<unknown, unknown, Store> => {
  const { op } = Source.file(file)
  return op._tag === "Source" ? op.read : Effect.die(new Error("a file is a source"))
}
