/**
 * From the specifier of an import to what it names, as Node resolves it: a file
 * of the project, an installed package, a built-in module.
 *
 * Beyond Node, a `.js` that is not there means the `.ts` it is compiled from,
 * and an extension may be left out, since projects that are bundled or compiled
 * write so.
 */
import { isBuiltin } from "node:module"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import type { Disk } from "./Disk.ts"
import * as SourceFile from "./SourceFile.ts"

export type Resolution =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "package"; readonly name: string; readonly version: string; readonly subpath: string }
  | { readonly kind: "builtin"; readonly name: string }
  /** Not found. `absent` when it can only be a package that is not installed, which is as definite as a version. */
  | { readonly kind: "missing"; readonly reason: string; readonly absent?: boolean }

/** The package that the project itself is, when it imports itself by name. */
export interface Self {
  readonly name: string
  /** The absolute path of the file that the bare name stands for. */
  readonly entry: string
}

const missing = (reason: string): Resolution => ({ kind: "missing", reason })

/** The sources that a compiled name may stand for. */
const compiledFrom: Readonly<Record<string, ReadonlyArray<string>>> = {
  ".js": [".ts", ".tsx"],
  ".jsx": [".tsx"],
  ".mjs": [".mts"],
  ".cjs": [".cts"]
}

/** The file that a path without regard to extension stands for. */
const file = (disk: Disk, path: string): string | undefined => {
  if (disk.isFile(path)) return path
  const extension = Path.extname(path)
  for (const source of compiledFrom[extension] ?? []) {
    const candidate = path.slice(0, -extension.length) + source
    if (disk.isFile(candidate)) return candidate
  }
  for (const added of [...SourceFile.extensions, ".json"]) if (disk.isFile(path + added)) return path + added
  for (const added of SourceFile.extensions) {
    const candidate = Path.join(path, `index${added}`)
    if (disk.isFile(candidate)) return candidate
  }
  return undefined
}

const conditions = new Set(["node", "import", "module-sync", "default", "require"])

/** The target of an entry of `exports` or `imports` under Node's conditions. */
const conditional = (target: unknown): string | undefined => {
  if (typeof target === "string") return target
  if (Array.isArray(target)) return target.map(conditional).find((one) => one !== undefined)
  if (typeof target !== "object" || target === null) return undefined
  for (const [condition, inner] of Object.entries(target)) {
    if (!conditions.has(condition)) continue
    const found = conditional(inner)
    if (found !== undefined) return found
  }
  return undefined
}

/** The target for `key` in a table of `exports` or `imports`, patterns with `*` included. */
const mapped = (table: Record<string, unknown>, key: string): string | undefined => {
  if (key in table) return conditional(table[key])
  let best: { readonly prefix: string; readonly middle: string; readonly target: unknown } | undefined
  for (const [pattern, target] of Object.entries(table)) {
    const star = pattern.indexOf("*")
    if (star < 0) continue
    const prefix = pattern.slice(0, star), suffix = pattern.slice(star + 1)
    const fits = key.startsWith(prefix) && key.endsWith(suffix) && key.length >= prefix.length + suffix.length
    if (fits && (best === undefined || prefix.length > best.prefix.length)) {
      best = { prefix, middle: key.slice(prefix.length, key.length - suffix.length), target }
    }
  }
  return best === undefined ? undefined : conditional(best.target)?.replaceAll("*", best.middle)
}

/** The file that `subpath` (`.` or `./name`) of a package in `folder` stands for. */
const exported = (disk: Disk, folder: string, subpath: string): string | undefined => {
  const manifest = disk.json(Path.join(folder, "package.json")).value
  const exports: unknown = manifest?.exports
  if (exports === undefined || exports === null) {
    return file(disk, Path.join(folder, subpath === "." ? manifest?.main ?? "index" : subpath))
  }
  const table = typeof exports === "object" && Object.keys(exports)[0]?.startsWith(".") === true
    ? exports as Record<string, unknown>
    : { ".": exports }
  const target = mapped(table, subpath)
  return target === undefined ? undefined : file(disk, Path.join(folder, target))
}

const found = (path: string | undefined, reason: string): Resolution =>
  path === undefined ? missing(reason) : { kind: "file", path }

/** What `specifier` names in the file `importer`. Throws `SourceError` for a manifest that is not JSON. */
export const resolve = (disk: Disk, self: Self | undefined, importer: string, specifier: string): Resolution => {
  if (specifier.startsWith("node:") || isBuiltin(specifier)) {
    return { kind: "builtin", name: specifier.replace(/^node:/, "") }
  }
  const folder = Path.dirname(importer)
  if (/^\.\.?(?:\/|$)/.test(specifier)) {
    return found(file(disk, Path.resolve(folder, specifier)), `there is no file for ${JSON.stringify(specifier)}`)
  }
  if (specifier.startsWith("/")) return found(file(disk, specifier), `there is no file ${specifier}`)
  if (specifier.startsWith("file:")) {
    return found(file(disk, fileURLToPath(specifier)), `there is no file for ${JSON.stringify(specifier)}`)
  }
  // A module spelled out in its specifier.
  if (specifier.startsWith("data:")) return { kind: "builtin", name: specifier }
  const hasManifest = (at: string): boolean => disk.isFile(Path.join(at, "package.json"))
  if (specifier.startsWith("#")) {
    const owner = disk.above(folder, hasManifest)
    const table = owner === undefined ? undefined : disk.json(Path.join(owner, "package.json")).value?.imports
    const target = table === undefined ? undefined : mapped(table, specifier)
    if (target === undefined || owner === undefined) return missing(`no package.json maps ${JSON.stringify(specifier)}`)
    return target.startsWith(".")
      ? found(file(disk, Path.join(owner, target)), `there is no file for ${JSON.stringify(specifier)}`)
      : resolve(disk, self, Path.join(owner, "package.json"), target)
  }
  const parts = /^((?:@[^/]+\/)?[^/:]+)(\/.*)?$/.exec(specifier)
  if (parts === null) return missing(`${JSON.stringify(specifier)} is not a specifier that can be followed`)
  const name = parts[1]!, subpath = `.${parts[2] ?? ""}`
  if (self !== undefined && name === self.name) {
    if (subpath === ".") return { kind: "file", path: self.entry }
    const owner = disk.above(Path.dirname(self.entry), hasManifest)
    const path = owner === undefined ? undefined : exported(disk, owner, subpath)
    return found(path, `the project's own package has no ${JSON.stringify(subpath)}`)
  }
  const owner = disk.above(folder, (at) => hasManifest(Path.join(at, "node_modules", name)))
  if (owner !== undefined) {
    const installed = Path.join(owner, "node_modules", name)
    const real = disk.realPath(installed)
    if (real.split(Path.sep).includes("node_modules")) {
      const version: unknown = disk.json(Path.join(installed, "package.json")).value?.version
      if (typeof version === "string") return { kind: "package", name, version, subpath }
    }
    // A workspace: its code changes without its version, so its files are followed like the project's.
    return found(exported(disk, real, subpath), `the package ${name} has no file for ${JSON.stringify(subpath)}`)
  }
  // Node lets a package import itself by name, through its `exports`.
  const own = disk.above(folder, hasManifest)
  if (own !== undefined && disk.json(Path.join(own, "package.json")).value?.name === name) {
    return found(exported(disk, own, subpath), `the package ${name} has no file for ${JSON.stringify(subpath)}`)
  }
  return {
    kind: "missing",
    reason: `the package ${name} is not installed`,
    absent: /^(?:@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*$/i.test(name)
  }
}
