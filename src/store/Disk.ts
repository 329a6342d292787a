/**
 * The few file operations the store is built on, each atomic as seen by a
 * reader: on disk by write, fsync, rename; in memory by nature.
 *
 * They are synchronous. What the store writes is small (a record) or written by
 * a process that has nothing else to do at that moment (a checkpoint).
 */
import * as fs from "node:fs"
import * as path from "node:path"

export interface Disk {
  /** The absolute folder, or a name for messages where there is none. */
  readonly root: string
  /** The bytes of a file, or `undefined` where it does not exist. */
  readonly read: (file: string) => Uint8Array | undefined
  /** Size in bytes, or `undefined` where the file does not exist. */
  readonly size: (file: string) => number | undefined
  /** Replaces the whole file, durably. */
  readonly write: (file: string, bytes: Uint8Array) => void
  /** Writes the whole file, durably, unless it is there already: then answers `false` and leaves it. */
  readonly writeOnce: (file: string, bytes: Uint8Array) => boolean
  /** Opens a file for appending; what `append` returned from survives the death of the process. */
  readonly appender: (file: string) => Appender
  /** Creates the file with this content, or answers `false` if it is there already. Not meant to outlive a loss of power. */
  readonly create: (file: string, bytes: Uint8Array) => boolean
  readonly rename: (from: string, to: string) => boolean
  readonly remove: (file: string) => void
  /** Milliseconds since the epoch at which the file was last written or touched. */
  readonly modified: (file: string) => number | undefined
  readonly touch: (file: string) => void
  /** Names of the files under a folder, at any depth, relative to the root, in order. */
  readonly list: (folder: string) => ReadonlyArray<string>
}

export interface Appender {
  readonly append: (text: string) => void
  /** Forces what was appended to the medium, against loss of power. */
  readonly sync: () => void
  readonly close: () => void
}

const isAbsent = (cause: unknown): boolean => {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code
  return code === "ENOENT" || code === "ENOTDIR"
}

const orAbsent = <A>(operation: () => A): A | undefined => {
  try {
    return operation()
  } catch (cause) {
    if (isAbsent(cause)) return undefined
    throw cause
  }
}

/** The most that Node reads or writes at once is a little more, and less than the weights of a model may be. */
const pieceBytes = 2 ** 30

/** All bytes of a file of any size. */
export const readWhole = (file: string): Uint8Array => {
  if (fs.statSync(file).size <= pieceBytes) return fs.readFileSync(file)
  const descriptor = fs.openSync(file, "r")
  try {
    const bytes = new Uint8Array(fs.fstatSync(descriptor).size)
    let length = 0
    while (length < bytes.length) {
      const read = fs.readSync(descriptor, bytes, length, Math.min(bytes.length - length, pieceBytes), length)
      if (read === 0) break
      length += read
    }
    return bytes.subarray(0, length)
  } finally {
    fs.closeSync(descriptor)
  }
}

/**
 * Makes a folder and those above it. Node's own recursive form never returns
 * where a file system, such as /proc, answers that the parent does not exist.
 */
const makeFolders = (folder: string) => {
  const missing: Array<string> = []
  for (let above = folder; !fs.existsSync(above); above = path.dirname(above)) missing.push(above)
  for (const next of missing.toReversed()) {
    try {
      fs.mkdirSync(next)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause
    }
  }
}

/** Files below `root`, which is created when something is first written. Temporary files lie in its folder `tmp`. */
export const node = (root: string): Disk => open(root, "tmp")

/** Files below a folder of the user's: as {@link node}, without a folder for temporary files. */
export const folder = (root: string): Disk => open(root, "")

const open = (root: string, temporaryFolder: string): Disk => {
  const resolve = (file: string) => path.join(root, file)
  const folders = new Set<string>()
  const ensureFolder = (folder: string) => {
    if (folders.has(folder)) return
    makeFolders(folder)
    folders.add(folder)
  }
  let temporaries = 0

  const writeAndSync = (file: string, bytes: Uint8Array, flags: string) => {
    const descriptor = fs.openSync(file, flags, 0o644)
    try {
      let written = 0
      // A short write is legal: a file system that fills up answers with one
      // before it answers ENOSPC.
      while (written < bytes.length) {
        written += fs.writeSync(descriptor, bytes, written, Math.min(bytes.length - written, pieceBytes))
      }
      fs.fsyncSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
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

  /** Writes a temporary file and has `publish` give it its name. */
  const commit = (file: string, bytes: Uint8Array, publish: (temporary: string, target: string) => void) => {
    const target = resolve(file)
    ensureFolder(path.join(root, temporaryFolder))
    const temporary = path.join(root, temporaryFolder, `.${process.pid}-${Date.now().toString(36)}-${temporaries++}`)
    try {
      writeAndSync(temporary, bytes, "wx")
      ensureFolder(path.dirname(target))
      publish(temporary, target)
    } catch (cause) {
      fs.rmSync(temporary, { force: true })
      // Somebody may have removed a folder since we made it: forget that we did.
      folders.clear()
      throw cause
    }
    syncFolder(path.dirname(target))
  }

  const list = (folder: string, found: Array<string>) => {
    const entries = orAbsent(() => fs.readdirSync(resolve(folder), { withFileTypes: true })) ?? []
    for (const entry of entries) {
      const name = folder === "" ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) list(name, found)
      else found.push(name)
    }
    return found
  }

  return {
    root,
    read: (file) => orAbsent(() => readWhole(resolve(file))),
    size: (file) => orAbsent(() => fs.statSync(resolve(file)).size),
    write: (file, bytes) => commit(file, bytes, (temporary, target) => fs.renameSync(temporary, target)),
    writeOnce: (file, bytes) => {
      let isNew = true
      commit(file, bytes, (temporary, target) => {
        // Unlike a rename, a link does not replace what is there.
        try {
          fs.linkSync(temporary, target)
        } catch (cause) {
          if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause
          isNew = false
        }
        fs.rmSync(temporary)
      })
      return isNew
    },
    appender: (file) => {
      const target = resolve(file)
      ensureFolder(path.dirname(target))
      const descriptor = fs.openSync(target, "a")
      return {
        append: (text) => {
          fs.writeSync(descriptor, text)
        },
        sync: () => fs.fdatasyncSync(descriptor),
        close: () => fs.closeSync(descriptor)
      }
    },
    create: (file, bytes) => {
      const target = resolve(file)
      makeFolders(path.dirname(target))
      try {
        fs.writeFileSync(target, bytes, { flag: "wx" })
        return true
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false
        throw cause
      }
    },
    rename: (from, to) =>
      orAbsent(() => {
        makeFolders(path.dirname(resolve(to)))
        fs.renameSync(resolve(from), resolve(to))
        return true
      }) ?? false,
    remove: (file) => fs.rmSync(resolve(file), { force: true }),
    modified: (file) => orAbsent(() => fs.statSync(resolve(file)).mtimeMs),
    touch: (file) => {
      const now = new Date()
      orAbsent(() => fs.utimesSync(resolve(file), now, now))
    },
    list: (folder) => list(folder, []).toSorted()
  }
}

/** Files in memory, for tests and for runs that should leave nothing behind. */
export const memory = (): Disk => {
  const files = new Map<string, { readonly bytes: Uint8Array; readonly modified: number }>()
  const set = (file: string, bytes: Uint8Array) => files.set(file, { bytes: bytes.slice(), modified: Date.now() })
  return {
    root: "memory",
    read: (file) => files.get(file)?.bytes,
    size: (file) => files.get(file)?.bytes.length,
    write: set,
    writeOnce: (file, bytes) => {
      if (files.has(file)) return false
      set(file, bytes)
      return true
    },
    appender: (file) => ({
      append: (text) => {
        const before = files.get(file)?.bytes ?? new Uint8Array()
        set(file, Buffer.concat([before, Buffer.from(text)]))
      },
      sync: () => {},
      close: () => {}
    }),
    create: (file, bytes) => {
      if (files.has(file)) return false
      set(file, bytes)
      return true
    },
    rename: (from, to) => {
      const found = files.get(from)
      if (found === undefined) return false
      files.delete(from)
      files.set(to, found)
      return true
    },
    remove: (file) => void files.delete(file),
    modified: (file) => files.get(file)?.modified,
    touch: (file) => {
      const found = files.get(file)
      if (found !== undefined) set(file, found.bytes)
    },
    list: (folder) => [...files.keys()].filter((file) => folder === "" || file.startsWith(`${folder}/`)).toSorted()
  }
}
