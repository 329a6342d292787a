/** The worker processes of a store, as the operating system lists them. */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"

const commands = (): ReadonlyArray<readonly [pid: number, command: string]> => {
  if (!fs.existsSync("/proc/self/cmdline")) {
    return execFileSync("ps", ["-A", "-ww", "-o", "pid=,args="], { encoding: "utf8" }).trim().split("\n").map(
      (line) => {
        const [, pid, command] = /^\s*(\d+)\s+(.*)$/.exec(line)!
        return [Number(pid), command!]
      }
    )
  }
  return fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      return [Number(pid), fs.readFileSync(`/proc/${pid}/cmdline`, "utf8")]
    } catch {
      // It has ended since.
      return [Number(pid), ""]
    }
  })
}

/** A worker is told its store on its command line. One that waits to be noticed dead has no command line any more. */
export const workersOf = (store: string): ReadonlyArray<number> =>
  commands().filter(([, command]) => command.includes("WorkerProcess") && command.includes(store)).map(([pid]) => pid)
