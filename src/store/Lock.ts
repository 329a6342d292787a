/**
 * A lock that several processes on one store hold by turns: a file that names
 * its holder and is touched while it is held.
 *
 * The lock saves work (two processes do not train the same trial), it does not
 * guard correctness: records are committed atomically and the first one wins,
 * so a lock that was taken from a holder that merely slept costs a second run
 * of one stage and nothing else.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import type { Disk } from "./Disk.ts"
import { fromCause, type StoreError } from "./StoreError.ts"

interface Holder {
  readonly host: string
  readonly pid: number
  /** When the process started, in clock ticks since boot: tells a reused pid from its first owner. */
  readonly started: string
  readonly token: string
}

/** How often a holder says that it is alive, and after how long without a word it counts as gone. */
const beat = 5_000
const patience = 60_000

const startOf = (pid: number): string => {
  try {
    // Field 22 of /proc/<pid>/stat; the second field may hold spaces and parentheses.
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
  } catch {
    return ""
  }
}

const alive = (holder: Holder): boolean => {
  try {
    process.kill(holder.pid, 0)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ESRCH") return false
  }
  return holder.started === "" || holder.started === startOf(holder.pid)
}

const parse = (bytes: Uint8Array | undefined): Holder | undefined => {
  if (bytes === undefined) return undefined
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8")) as Holder
  } catch {
    // Its writer died between creating and filling it.
    return undefined
  }
}

const abandoned = (disk: Disk, file: string, holder: Holder | undefined): boolean => {
  const modified = disk.modified(file)
  if (modified === undefined) return false
  if (Date.now() - modified > patience) return true
  return holder !== undefined && holder.host === os.hostname() && !alive(holder)
}

/** Whether a living process holds the lock. */
export const isHeld = (disk: Disk, file: string): boolean =>
  disk.modified(file) !== undefined && !abandoned(disk, file, parse(disk.read(file)))

let taken = 0

const tryAcquire = (disk: Disk, file: string): Holder | undefined => {
  const mine: Holder = {
    host: os.hostname(),
    pid: process.pid,
    started: startOf(process.pid),
    token: `${process.pid}-${Date.now().toString(36)}-${taken++}`
  }
  if (disk.create(file, Buffer.from(JSON.stringify(mine)))) return mine
  const holder = parse(disk.read(file))
  if (abandoned(disk, file, holder)) {
    // Of several processes that see the same abandoned lock one succeeds in
    // renaming it. Should it have been renewed in between, it is put back.
    const aside = `${file}.${mine.token}`
    if (disk.rename(file, aside)) {
      if (parse(disk.read(aside))?.token === holder?.token) disk.remove(aside)
      else disk.rename(aside, file)
    }
  }
  return undefined
}

const release = (disk: Disk, file: string, mine: Holder) => {
  if (parse(disk.read(file))?.token === mine.token) disk.remove(file)
}

/**
 * Takes the lock `file` if nobody holds it, until the scope closes; answers
 * whether it did. It does not wait.
 */
export const claim = (disk: Disk, file: string): Effect.Effect<boolean, StoreError, Scope.Scope> =>
  Effect.gen(function*() {
    const held = yield* Effect.acquireRelease(
      Effect.try({ try: () => tryAcquire(disk, file), catch: fromCause("take the lock", `${disk.root}/${file}`) }),
      (mine) => mine === undefined ? Effect.void : Effect.ignore(Effect.sync(() => release(disk, file, mine)))
    )
    if (held === undefined) return false
    yield* Effect.sync(() => disk.touch(file)).pipe(Effect.delay(beat), Effect.forever, Effect.forkScoped)
    return true
  })
