/** The command line as users have it: a process. */
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const entry = fileURLToPath(new URL("../../src/cli/attune.js", import.meta.url))

export const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/cli/${name}`, import.meta.url))

export const temporaryFolder = (): string => fs.mkdtempSync(path.join(os.tmpdir(), "attune-cli-"))

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
}

export interface Options {
  readonly environment?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** A shell command that goes before it, such as one that sets a limit. */
  readonly shell?: string
}

/** Starts it as the leader of a process group of its own. */
export const start = (args: ReadonlyArray<string>, options: Options = {}): Started => {
  const { ATTUNE_STORE: _store, FORCE_COLOR: _colour, npm_lifecycle_event: _script, ...inherited } = process.env
  const command = options.shell === undefined
    ? [process.execPath, entry, ...args]
    : ["bash", "-c", `${options.shell}; exec "$@"`, "bash", process.execPath, entry, ...args]
  const child = spawn(command[0]!, command.slice(1), {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...inherited, ...options.environment },
    cwd: options.cwd
  })
  let stdout = "", stderr = ""
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString("utf8")
  })
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString("utf8")
  })
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
  return { process: child, ended }
}

export const attune = (args: ReadonlyArray<string>, options?: Options): Promise<Ended> => start(args, options).ended

/** Waits until something is the case. */
export const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
}

export const linesOf = (file: string): ReadonlyArray<string> =>
  fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n").filter((line) => line !== "") : []

/** Whether a process is there, and not merely waiting to be noticed dead. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return !fs.existsSync("/proc/self")
  }
}

/** How many stage runs a store holds a record of. */
export const recordsIn = (store: string): number =>
  fs.readdirSync(path.join(store, "runs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".json")).length
