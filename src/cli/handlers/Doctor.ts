import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { fork } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { host, versions } from "../../pipeline/Host.ts"
import { Store } from "../../store/Store.ts"
import * as Backend from "../../tensor/Backend.ts"
import type { Report } from "../BackendProbe.ts"
import * as Data from "../Data.ts"
import type { Format } from "../Flags.ts"
import * as Output from "../Output.ts"
import * as StoreLocation from "../StoreLocation.ts"
import * as Text from "../Text.ts"

/** Something that every pipeline needs does not work here. */
export class NotReady extends Schema.TaggedError<NotReady>()("NotReady", { checks: Schema.Array(Schema.String) }) {
  override get message(): string {
    return `Not ready: ${this.checks.join(", ")}. See above for what to do.`
  }
}

interface Check {
  readonly check: string
  /** `missing` is no fault: what is optional need not be there. */
  readonly status: "ok" | "missing" | "broken"
  readonly detail: string
  readonly remedy?: string
}

export const doctor = Effect.fnUntraced(function*(flags: {
  readonly store: string | undefined
  readonly format: Format
}) {
  const backends = yield* Effect.forEach(Backend.descriptions, backend, { concurrency: 2 })
  const checks = [...machine(), yield* store(StoreLocation.resolve(flags)), ...backends, ...packages()]
  if (flags.format === "table") { for (const line of lines(checks)) Output.print(line) }
  else {
    const rows = checks.map((check) => ({ ...check, remedy: check.remedy ?? null }))
    Data.print(flags.format, Data.table(["check", "status", "detail", "remedy"], rows))
  }
  const broken = checks.filter(({ status }) => status === "broken").map(({ check }) => check)
  if (broken.length > 0) return yield* new NotReady({ checks: broken })
  Output.say("Ready to run pipelines.")
})

/** A check a line, what to do about it below it: both are sentences, too long for a table. */
const lines = (checks: ReadonlyArray<Check>): ReadonlyArray<string> => {
  const { bad, faint, good } = Output.style(Output.stdout)
  const tone = { ok: good, missing: faint, broken: bad }
  const widest = Math.max(...checks.map(({ check }) => Text.width(check)))
  return checks.flatMap(({ check, detail, remedy, status }) => [
    `${tone[status](Text.pad(status, "missing".length))}  ${Text.pad(check, widest)}  ${Text.visible(detail)}`,
    ...(remedy === undefined || remedy === "" ? [] : [`${" ".repeat(widest + 11)}${faint(Text.visible(remedy))}`])
  ])
}

const machine = (): ReadonlyArray<Check> => [
  {
    check: "machine",
    status: "ok",
    detail: `${host.platform}, ${host.cpu}, ${Text.count(host.cores, "core")}, ${Text.bytes(host.memory)} of memory`
  },
  { check: "node", status: "ok", detail: `${versions["node"]} (${process.execPath})` },
  { check: "attune", status: "ok", detail: versions["attune"]! },
  { check: "effect", status: "ok", detail: versions["effect"]! },
  packageCheck("@tensorflow/tfjs-core", true)
]

const store = Effect.fnUntraced(function*(root: string): Effect.fn.Return<Check> {
  const exists = fs.existsSync(root)
  if (!exists) {
    const parent = nearestFolder(path.dirname(root))
    return isWritable(parent)
      ? { check: "store", status: "ok", detail: `${root} (made by the first run)` }
      : { check: "store", status: "broken", detail: `${root}: ${parent} is not writable`, remedy: otherStore }
  }
  return yield* Effect.gen(function*() {
    yield* (yield* Store).checkWritable
    return { check: "store", status: "ok" as const, detail: root }
  }).pipe(
    Effect.provide(Store.layer(root)),
    Effect.catch((error) =>
      Effect.succeed<Check>({ check: "store", status: "broken", detail: error.message, remedy: otherStore })
    )
  )
})

const otherStore = "Choose another folder with --store or ATTUNE_STORE."

const nearestFolder = (folder: string): string => fs.existsSync(folder) ? folder : nearestFolder(path.dirname(folder))

const isWritable = (folder: string): boolean => {
  try {
    fs.accessSync(folder, fs.constants.W_OK)
    return fs.statSync(folder).isDirectory()
  } catch {
    return false
  }
}

const probe = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../BackendProbe.ts" : "../BackendProbe.js", import.meta.url)
)

/** Milliseconds that a backend may take to start: a native one loads hundreds of megabytes. */
const patience = 60_000

/** Starts a backend in a process of its own. */
const backend = ({ description, name }: { readonly name: Backend.Name; readonly description: string }) =>
  Effect.callback<Check>((resume) => {
    const about = { check: `backend ${name}` }
    const child = fork(probe, [name], { execArgv: ["--disable-warning=ExperimentalWarning"], silent: true })
    const timer = setTimeout(() => child.kill("SIGKILL"), patience)
    let report: Report | undefined
    child.on("message", (message) => {
      report = message as Report
    })
    // Only the backend that needs nothing but npm has to work everywhere.
    const status = name === Backend.defaultName ? "broken" : "missing"
    child.on("exit", (code, signal) => {
      clearTimeout(timer)
      if (report === undefined) {
        const how = signal === null ? `exit code ${code}` : `ended by ${signal}`
        resume(Effect.succeed({ ...about, status, detail: `its process ended while it started (${how})` }))
      } else if (report.available) {
        const detail = `${description} · ${report.version} · ${report.determinism}`
        resume(Effect.succeed({ ...about, status: "ok", detail }))
      } else resume(Effect.succeed({ ...about, status, detail: report.reason, remedy: report.remedy }))
    })
    return Effect.sync(() => {
      clearTimeout(timer)
      child.kill("SIGKILL")
    })
  })

/** What the optional backends are made of. */
const optional = ["webgpu", "@tensorflow/tfjs-backend-webgpu", "@tensorflow/tfjs-node", "@tensorflow/tfjs-node-gpu"]

const packages = (): ReadonlyArray<Check> => optional.map((name) => packageCheck(name, false))

const packageCheck = (name: string, required: boolean): Check => {
  const found = versionOf(name)
  const check = required ? name : `package ${name}`
  return found === undefined
    ? { check, status: required ? "broken" : "missing", detail: required ? "not installed" : "optional, not installed" }
    : { check, status: "ok", detail: found }
}

/** The version of a package that is installed beside us or in the project of the working directory. */
const versionOf = (name: string): string | undefined => {
  for (const base of [import.meta.url, pathToFileURL(path.join(process.cwd(), "package.json")).href]) {
    for (const folder of createRequire(base).resolve.paths(name) ?? []) {
      try {
        const manifest = fs.readFileSync(path.join(folder, name, "package.json"), "utf8")
        return (JSON.parse(manifest) as { readonly version: string }).version
      } catch {
        // Not in this folder.
      }
    }
  }
  return undefined
}
