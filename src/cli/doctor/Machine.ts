/**
 * The machine, the versions of what runs on it, and the store.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as OptionalPackages from "../../executor/OptionalPackages.ts"
import { host, versions } from "../../pipeline/Host.ts"
import { Store } from "../../store/Store.ts"
import * as Text from "../Text.ts"
import type { Check } from "./Check.ts"

export const checks = (): ReadonlyArray<Check> => [
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

/** What the optional backends are made of. */
export const packages = (): ReadonlyArray<Check> => OptionalPackages.names.map((name) => packageCheck(name, false))

const packageCheck = (name: string, required: boolean): Check => {
  const found = OptionalPackages.versionOf(name)
  const check = required ? name : `package ${name}`
  return found === undefined
    ? { check, status: required ? "broken" : "missing", detail: required ? "not installed" : "optional, not installed" }
    : { check, status: "ok", detail: found }
}

export const store = Effect.fnUntraced(function*(root: string): Effect.fn.Return<Check> {
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
