/**
 * Ends a process when the process that started it is gone.
 *
 * A process notices a broken channel to its parent only between two pieces of work, and a kernel may compute for
 * minutes. So a thread of its own looks once a second. This module is what that thread runs, too.
 */
import { isMainThread, Worker, workerData } from "node:worker_threads"

/** What the thread is given. */
interface Watch {
  readonly role: "attune/executor/ParentWatch"
  readonly parent: number
}

/**
 * Ends this process soon after its parent has ended, however that came about. To be called before the parent is told
 * that this process is ready: who the parent is must be asked while it lives, since later it is whoever took its place.
 */
export const start = (): void => {
  const watch: Watch = { role: "attune/executor/ParentWatch", parent: process.ppid }
  new Worker(new URL(import.meta.url), { workerData: watch }).unref()
}

const watch = isMainThread ? undefined : workerData as Partial<Watch> | undefined

if (watch?.role === "attune/executor/ParentWatch") {
  setInterval(() => {
    if (process.ppid !== watch.parent) process.kill(process.pid, "SIGKILL")
  }, 1_000)
}
