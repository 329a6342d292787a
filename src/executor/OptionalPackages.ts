/**
 * The packages that some backends need and that do not come with us: which there are, and which are installed.
 */
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import type * as Backend from "../tensor/Backend.ts"

/** Sets of packages by backend; any one set is enough. A backend without any comes with us. */
const needed: Readonly<Record<Backend.Name, ReadonlyArray<ReadonlyArray<string>>>> = {
  wasm: [],
  cpu: [],
  webgpu: [["webgpu", "@tensorflow/tfjs-backend-webgpu"]],
  tensorflow: [["@tensorflow/tfjs-node-gpu"], ["@tensorflow/tfjs-node"]]
}

/** The names of all of them. */
export const names: ReadonlyArray<string> = Object.values(needed).flat(2)

/** Whether a backend needs nothing but what comes with us. */
export const comesWithUs = (backend: Backend.Name): boolean => needed[backend].length === 0

/** Whether all that a backend needs is installed. Whether it works, only starting it tells. */
export const isInstalled = (backend: Backend.Name): boolean =>
  comesWithUs(backend)
  || needed[backend].some((packages) => packages.every((name) => versionOf(name) !== undefined))

/** The version of a package that is installed beside us or in the project of the working directory. */
export const versionOf = (name: string): string | undefined => {
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
