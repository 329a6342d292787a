/**
 * What an analysis knows of the files on disk: each is read and parsed once
 * and again when it changed.
 *
 * A file is taken as unchanged when its times, size and inode are, as `git`
 * does for its index; and as there, times too close to the moment of reading
 * prove nothing (a second write may fall into the same tick of the clock), so
 * such a file is read again.
 */
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Digest from "../store/Digest.ts"
import { SourceError } from "./SourceError.ts"
import * as SourceFile from "./SourceFile.ts"

/** How long, in milliseconds, a file must have been left alone before its times are believed. */
const settled = 100

interface Entry {
  readonly stamp: string
  /** Whether the stamp was old enough, when the file was read, to tell a later change. */
  readonly sure: boolean
  readonly digest: string
  readonly value: unknown
}

/** Lives as long as the analyser: one entry a file and use. */
export type Cache = Map<string, Entry>

export const cache = (): Cache => new Map()

/** The disk as one analysis sees it. Each file is looked at once, so that the analysis is consistent. */
export interface Disk {
  readonly isFile: (path: string) => boolean
  /** The parsed source. Throws {@link SourceError}. */
  readonly source: (path: string) => SourceFile.SourceFile
  /** The digest of a file's bytes. Throws {@link SourceError}. */
  readonly content: (path: string) => string
  /** A JSON file's value, with the digest of its content whatever its white space. Throws {@link SourceError}. */
  readonly json: (path: string) => { readonly value: any; readonly digest: string }
  /** The nearest folder at or above `folder` for which `test` is true. */
  readonly above: (folder: string, test: (folder: string) => boolean) => string | undefined
  readonly realPath: (path: string) => string
}

const byteOrderMark = /^\uFEFF/

export const open = (entries: Cache): Disk => {
  const stats = new Map<string, FileSystem.Stats | undefined>()
  const seen = new Map<string, Entry>()
  const realPaths = new Map<string, string>()

  const stat = (path: string): FileSystem.Stats | undefined => {
    if (stats.has(path)) return stats.get(path)
    const found = FileSystem.statSync(path, { throwIfNoEntry: false })
    stats.set(path, found)
    return found
  }

  const unreadable = (path: string, cause: unknown): SourceError =>
    new SourceError({ file: path, found: cause instanceof Error ? cause.message : String(cause) })

  /** `make` from the bytes of the file, kept until the bytes change. */
  const read = <A>(use: string, path: string, make: (bytes: Buffer) => A): { value: A; digest: string } => {
    const key = `${use} ${path}`
    const known = seen.get(key)
    if (known !== undefined) return known as Entry & { value: A }
    let found: FileSystem.Stats | undefined
    try {
      found = stat(path)
    } catch (cause) {
      throw unreadable(path, cause)
    }
    if (found === undefined) throw unreadable(path, "no such file")
    const stamp = `${found.mtimeMs} ${found.ctimeMs} ${found.size} ${found.ino}`
    let entry = entries.get(key)
    if (entry === undefined || entry.stamp !== stamp || !entry.sure) {
      const sure = Date.now() - Math.max(found.mtimeMs, found.ctimeMs) > settled
      let bytes: Buffer
      try {
        bytes = FileSystem.readFileSync(path)
      } catch (cause) {
        throw unreadable(path, cause)
      }
      const digest = Digest.ofBytes(bytes)
      const value = entry?.digest === digest ? entry.value : make(bytes)
      entry = { stamp, sure, digest, value }
      entries.set(key, entry)
    }
    seen.set(key, entry)
    return entry as Entry & { value: A }
  }

  return {
    isFile: (path) => {
      try {
        return stat(path)?.isFile() === true
      } catch {
        return false
      }
    },
    source: (path) =>
      read("source", path, (bytes) => SourceFile.parse(path, bytes.toString("utf8").replace(byteOrderMark, ""))).value,
    content: (path) => read("content", path, () => undefined).digest,
    json: (path) =>
      read("json", path, (bytes) => {
        try {
          const value: unknown = JSON.parse(bytes.toString("utf8").replace(byteOrderMark, ""))
          return { value, digest: Digest.ofText(JSON.stringify(value)) }
        } catch (cause) {
          throw new SourceError({ file: path, line: 1, found: cause instanceof Error ? cause.message : String(cause) })
        }
      }).value,
    above: (folder, test) => {
      for (let at = folder;;) {
        if (test(at)) return at
        const parent = Path.dirname(at)
        if (parent === at) return undefined
        at = parent
      }
    },
    realPath: (path) => {
      const known = realPaths.get(path)
      if (known !== undefined) return known
      const real = FileSystem.realpathSync(path)
      realPaths.set(path, real)
      return real
    }
  }
}
