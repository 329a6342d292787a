/**
 * The cache of the Hugging Face hub on this machine, in the layout of the
 * Python library huggingface_hub, so that what one downloads the other finds:
 *
 * ```
 * models--org--name/
 *   blobs/<SHA-256, or git's id of a small file>   contents, each once
 *   snapshots/<commit>/<path>                      links to them
 *   refs/<branch or tag>                           the commit it last was
 *   trees/<commit>.json                            what the commit consists of
 *   verified/<blob>                                ours: size and time of a blob whose digest was taken
 * .locks/models--org--name/                        held while a blob is downloaded
 * ```
 *
 * A blob appears under its name once all of it is on disk and has the digest
 * that the hub promised. Until then it grows as `<blob>.attune.incomplete`, from
 * where the next attempt goes on. Source of the layout: the page "Manage your
 * cache" of huggingface_hub's guide, and its `file_download.py` and `_tree_cache.py`.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Disk from "./Disk.ts"
import * as Lock from "./Lock.ts"
import type { StoreError } from "./StoreError.ts"

/** The cache cannot be read or written. */
export class HubCacheError extends Schema.TaggedError<HubCacheError>()("HubCacheError", {
  operation: Schema.String,
  path: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The cache of the hub could not ${this.operation} (${this.path}): ${this.detail}. `
      + "HF_HUB_CACHE names another folder for it."
  }
}

export interface Repository {
  readonly type: "model" | "dataset"
  /** As in `org/name`. */
  readonly id: string
}

/** A file of a repository at one commit. */
export interface Entry {
  /** From the root of the repository, with `/`. */
  readonly path: string
  readonly bytes: number
  /** Of a large file: the SHA-256 of its content. */
  readonly sha256?: string
  /** Git's id of the object: that of the content where there is no SHA-256, else of the pointer that stands for it. */
  readonly blobId?: string
  readonly xetHash?: string
}

/** The name of an entry's blob. */
const blobOf = (entry: Entry): string | undefined => entry.sha256 ?? entry.blobId

const sha256Pattern = /^[0-9a-f]{64}$/
const sha1Pattern = /^[0-9a-f]{40}$/

export const isCommit = (text: string): boolean => sha1Pattern.test(text)

/**
 * Whether a path of a repository stays inside the folder it is joined to, on
 * any operating system. A hostile repository can list any text as a path.
 */
export const isSafePath = (file: string): boolean =>
  file !== "" && file.length <= 1024 && !/[\\\0]/.test(file)
  && file.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !/^[A-Za-z]:/.test(part))

/** An entry as it is in a tree file, checked: its texts become names of files. */
const Listed = Schema.Struct({
  size: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  blob_id: Schema.String.check(Schema.isPattern(sha1Pattern)),
  lfs_sha256: Schema.optionalKey(Schema.String.check(Schema.isPattern(sha256Pattern))),
  lfs_size: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  xet_hash: Schema.optionalKey(Schema.String.check(Schema.isPattern(sha256Pattern)))
})

const Tree = Schema.Struct({
  format_version: Schema.Literal(1),
  files: Schema.Record(Schema.String.check(Schema.makeFilter(isSafePath)), Listed)
})

const decodeTree = Schema.decodeUnknownResult(Schema.fromJsonString(Tree))

/** Where a file of a snapshot is, and what digest its content has. */
export interface Present {
  readonly path: string
  readonly bytes: number
  /** SHA-256 of the content. */
  readonly digest: string
}

/** The content is not what the hub promised. */
export interface Mismatch {
  readonly expected: string
  readonly found: string
}

/** A blob on its way. Two processes that fill the same one write the same bytes to the same places. */
export interface Incomplete {
  readonly length: () => number
  readonly write: (position: number, chunk: Uint8Array) => void
  readonly truncate: () => void
}

export interface HubCache {
  /** The folder of the repository. */
  readonly folder: string
  /** The commit that a branch or tag was when it was last looked up. */
  readonly reference: (revision: string) => string | undefined
  /** What a commit consists of, if it was listed here before. */
  readonly tree: (commit: string) => ReadonlyArray<Entry> | undefined
  /** What of a commit is here, whoever brought it. */
  readonly snapshot: (commit: string) => ReadonlyArray<Entry>
  /** The path of a file in the snapshot of a commit, there or not. */
  readonly pathOf: (commit: string, file: string) => string
  /** Keeps the commit of a branch or tag. As with a tree, a cache that cannot be written to does without. */
  readonly keepReference: (revision: string, commit: string) => Effect.Effect<void>
  readonly keepTree: (commit: string, entries: ReadonlyArray<Entry>) => Effect.Effect<void>
  /** Whether a file's content is here with the right size; links it into the snapshot where it is not. */
  readonly has: (commit: string, entry: Entry) => Effect.Effect<boolean, HubCacheError>
  /** The file with its digest. The content of a large file is read the first time, and again when the file has changed. */
  readonly verify: (commit: string, entry: Entry) => Effect.Effect<Result.Result<Present, Mismatch>, HubCacheError>
  /** Forgets a file with its content. */
  readonly discard: (commit: string, entry: Entry) => Effect.Effect<void, HubCacheError>
  /**
   * Has `fill` bring the rest of a file, checks the whole and publishes it. Of
   * several processes that want the same file one brings it and the others wait.
   */
  readonly bring: <E>(
    commit: string,
    entry: Entry,
    fill: (incomplete: Incomplete) => Effect.Effect<void, E>
  ) => Effect.Effect<Result.Result<void, Mismatch>, E | HubCacheError>
}

const details: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ENOTDIR: "a file stands where a folder should be"
}

const failed = (operation: string, file: string) => (cause: unknown): HubCacheError => {
  if (cause instanceof HubCacheError) return cause
  const { code, message } = cause as NodeJS.ErrnoException
  return new HubCacheError({ operation, path: file, detail: (code && details[code]) ?? message ?? String(cause) })
}

const orUndefined = <A>(body: () => A): A | undefined => {
  try {
    return body()
  } catch {
    return undefined
  }
}

const chunkBytes = 1 << 20

/** SHA-256 of a file and, for a small one, git's id of it: the SHA-1 of a header and the content. */
const digestsOf = (file: string, withGit: boolean): Effect.Effect<{ sha256: string; git: string }, HubCacheError> =>
  Effect.tryPromise({
    try: async (signal) => {
      const sha256 = createHash("sha256")
      const git = createHash("sha1")
      const handle = await fs.promises.open(file, "r")
      try {
        if (withGit) git.update(`blob ${(await handle.stat()).size}\0`)
        // One buffer for all: a stream would leave behind as much as the file is long.
        const chunk = Buffer.alloc(chunkBytes)
        for (;;) {
          signal.throwIfAborted()
          const { bytesRead } = await handle.read(chunk)
          if (bytesRead === 0) return { sha256: sha256.digest("hex"), git: git.digest("hex") }
          sha256.update(chunk.subarray(0, bytesRead))
          if (withGit) git.update(chunk.subarray(0, bytesRead))
        }
      } finally {
        await handle.close()
      }
    },
    catch: failed("read a file", file)
  })

let temporaries = 0

/** Links `target` into a snapshot, in place of what is there; where there are no links, copies it. */
const link = (target: string, place: string) => {
  fs.mkdirSync(path.dirname(place), { recursive: true })
  const temporary = `${place}.${process.pid}-${temporaries++}.tmp`
  try {
    try {
      fs.symlinkSync(path.relative(path.dirname(place), target), temporary)
    } catch (cause) {
      if (!["EPERM", "ENOTSUP", "ENOSYS"].includes((cause as NodeJS.ErrnoException).code ?? "")) throw cause
      fs.copyFileSync(target, temporary)
    }
    fs.renameSync(temporary, place)
  } finally {
    fs.rmSync(temporary, { force: true })
  }
}

const syncFolder = (folder: string) => {
  const descriptor = fs.openSync(folder, "r")
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Between two looks at a blob that another process brings, in milliseconds: doubled each time. */
const shortestPause = 50
const longestPause = 1_000

/** The cache of one repository below `root`, such as `~/.cache/huggingface/hub`. */
export const open = (root: string, { id, type }: Repository): HubCache => {
  const name = [`${type}s`, ...id.split("/")].join("--")
  const folder = path.join(root, name)
  const disk = Disk.folder(folder)
  const locks = Disk.folder(path.join(root, ".locks", name))
  const pathOf = (commit: string, file: string) => path.join(folder, "snapshots", commit, file)
  const blobPath = (entry: Entry) => path.join(folder, "blobs", blobOf(entry)!)

  const attempt = <A>(operation: string, file: string, body: () => A): Effect.Effect<A, HubCacheError> =>
    Effect.try({ try: body, catch: failed(operation, file) })

  const keep = (file: string, text: string): Effect.Effect<void> =>
    Effect.ignore(attempt("write a file", path.join(folder, file), () => {
      if (Buffer.from(disk.read(file) ?? []).toString("utf8") !== text) disk.write(file, Buffer.from(text))
    }))

  const sizeOf = (file: string): number | undefined => orUndefined(() => fs.statSync(file).size)

  const stamp = (file: string): string => {
    const { mtimeMs, size } = fs.statSync(file)
    return `${size} ${mtimeMs}\n`
  }

  /** The entry that a file in a snapshot stands for: where it leads tells the digest. */
  const entryOf = (commit: string, file: string): Entry | undefined => {
    const place = pathOf(commit, file)
    const bytes = sizeOf(place)
    if (bytes === undefined) return undefined
    const blob = path.basename(orUndefined(() => fs.readlinkSync(place)) ?? "")
    return {
      path: file,
      bytes,
      ...(sha256Pattern.test(blob) ? { sha256: blob } : sha1Pattern.test(blob) ? { blobId: blob } : {})
    }
  }

  const has = (commit: string, entry: Entry) =>
    attempt("look for a file", pathOf(commit, entry.path), () => {
      const place = pathOf(commit, entry.path)
      if (sizeOf(place) === entry.bytes) return true
      if (blobOf(entry) === undefined || sizeOf(blobPath(entry)) !== entry.bytes) return false
      link(blobPath(entry), place)
      return true
    })

  /** Compares a file with what an entry promises. */
  const compare = Effect.fnUntraced(function*(file: string, entry: Entry) {
    const { git, sha256 } = yield* digestsOf(file, entry.sha256 === undefined)
    const expected = blobOf(entry)
    const found = entry.sha256 === undefined ? git : sha256
    return expected === undefined || expected === found
      ? Result.succeed(sha256)
      : Result.fail<Mismatch>({ expected, found })
  })

  const verify = Effect.fnUntraced(function*(commit: string, entry: Entry) {
    const place = pathOf(commit, entry.path)
    const present = (digest: string): Present => ({ path: place, bytes: entry.bytes, digest })
    const note = `verified/${entry.sha256}`
    const now = yield* attempt("look at a file", place, () => stamp(place))
    if (entry.sha256 !== undefined) {
      const noted = Buffer.from(orUndefined(() => disk.read(note)) ?? []).toString("utf8")
      if (noted === now) return Result.succeed(present(entry.sha256))
    }
    const compared = yield* compare(place, entry)
    if (Result.isFailure(compared)) return Result.fail(compared.failure)
    if (entry.sha256 !== undefined) yield* keep(note, now)
    return Result.succeed(present(compared.success))
  })

  const discard = (commit: string, entry: Entry) =>
    attempt("remove a damaged file", pathOf(commit, entry.path), () => {
      fs.rmSync(pathOf(commit, entry.path), { force: true })
      if (blobOf(entry) !== undefined) fs.rmSync(blobPath(entry), { force: true })
    })

  /** An incomplete blob, open until the scope closes. */
  const openIncomplete = (file: string) =>
    Effect.acquireRelease(
      attempt("write a file", file, () => {
        fs.mkdirSync(path.dirname(file), { recursive: true })
        return fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644)
      }),
      (descriptor) => Effect.sync(() => fs.closeSync(descriptor))
    )

  const bring = <E>(
    commit: string,
    entry: Entry,
    fill: (incomplete: Incomplete) => Effect.Effect<void, E>
  ): Effect.Effect<Result.Result<void, Mismatch>, E | HubCacheError> =>
    Effect.gen(function*() {
      const blob = blobPath(entry)
      const lock = `${blobOf(entry)}.attune.lock`
      const refused = ({ detail, path }: StoreError) => new HubCacheError({ operation: "take the lock", path, detail })
      for (let pause = shortestPause;; pause = Math.min(2 * pause, longestPause)) {
        if (yield* has(commit, entry)) return Result.succeed(undefined)
        if (yield* Lock.claim(locks, lock).pipe(Effect.mapError(refused))) break
        yield* Effect.sleep(pause)
      }
      // It may have come between the look and the lock.
      if (yield* has(commit, entry)) return Result.succeed(undefined)
      const file = `${blob}.attune.incomplete`
      const descriptor = yield* openIncomplete(file)
      const guarded = <A>(body: () => A): A => {
        try {
          return body()
        } catch (cause) {
          throw failed("write a file", file)(cause)
        }
      }
      yield* fill({
        length: () => guarded(() => fs.fstatSync(descriptor).size),
        truncate: () => guarded(() => fs.ftruncateSync(descriptor)),
        write: (position, chunk) =>
          guarded(() => {
            let written = 0
            while (written < chunk.length) {
              written += fs.writeSync(descriptor, chunk, written, chunk.length - written, position + written)
            }
          })
      })
      yield* attempt("write a file", file, () => fs.fsyncSync(descriptor))
      // What is on disk counts, not what went by: the first part may be of another day.
      const compared = yield* compare(file, entry)
      if (Result.isFailure(compared)) {
        yield* attempt("remove a damaged file", file, () => fs.rmSync(file, { force: true }))
        return Result.fail(compared.failure)
      }
      const now = yield* attempt("publish a file", blob, () => {
        fs.renameSync(file, blob)
        syncFolder(path.dirname(blob))
        link(blob, pathOf(commit, entry.path))
        return stamp(blob)
      })
      if (entry.sha256 !== undefined) yield* keep(`verified/${entry.sha256}`, now)
      return Result.succeed(undefined)
    }).pipe(Effect.scoped)

  return {
    folder,
    pathOf,
    has,
    verify,
    discard,
    bring,
    reference: (revision) => {
      const text = Buffer.from(orUndefined(() => disk.read(`refs/${revision}`)) ?? []).toString("utf8").trim()
      return isCommit(text) ? text : undefined
    },
    tree: (commit) => {
      const bytes = orUndefined(() => disk.read(`trees/${commit}.json`))
      const tree = bytes === undefined ? undefined : decodeTree(Buffer.from(bytes).toString("utf8"))
      if (tree === undefined || Result.isFailure(tree)) return undefined
      return Object.entries(tree.success.files).map(([path, listed]) => ({
        path,
        bytes: listed.lfs_size ?? listed.size,
        blobId: listed.blob_id,
        ...(listed.lfs_sha256 === undefined ? {} : { sha256: listed.lfs_sha256 }),
        ...(listed.xet_hash === undefined ? {} : { xetHash: listed.xet_hash })
      }))
    },
    snapshot: (commit) =>
      disk.list(`snapshots/${commit}`).flatMap((found) => {
        const file = found.slice(`snapshots/${commit}/`.length)
        return isSafePath(file) ? entryOf(commit, file) ?? [] : []
      }),
    keepReference: (revision, commit) => revision === commit ? Effect.void : keep(`refs/${revision}`, commit),
    keepTree: (commit, entries) =>
      keep(
        `trees/${commit}.json`,
        JSON.stringify(
          {
            format_version: 1,
            files: Object.fromEntries(
              entries.toSorted((a, b) => a.path < b.path ? -1 : 1).map(({ blobId, bytes, path, sha256, xetHash }) => [
                path,
                {
                  size: bytes,
                  blob_id: blobId,
                  ...(sha256 === undefined ? {} : { lfs_sha256: sha256, lfs_size: bytes }),
                  ...(xetHash === undefined ? {} : { xet_hash: xetHash })
                }
              ])
            )
          },
          null,
          1
        )
      )
  }
}
