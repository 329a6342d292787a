/**
 * The project's code as a graph: a vertex is a top-level piece of a file, an
 * edge is a mention, found through imports, exports and re-exports.
 *
 * Vertices are made when asked for, so that only what is reached is resolved.
 */
import * as Path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as Digest from "../store/Digest.ts"
import type { Disk } from "./Disk.ts"
import type * as Normalise from "./Normalise.ts"
import * as Resolve from "./Resolve.ts"
import * as SourceFile from "./SourceFile.ts"

/** A place where the code cannot be followed, and why. */
export interface Opaque {
  readonly file: string
  readonly line: number
  readonly reason: string
}

export interface Package {
  readonly name: string
  readonly version: string
}

export interface Vertex {
  /** Its own content: nothing of where it is, what it is called, or what its mentions mean. */
  readonly own: string
  readonly file: string
  readonly line: number
  /** What a person calls it; `undefined` for what has no place in a file, such as a namespace. */
  readonly label: string | undefined
  readonly opaque: ReadonlyArray<Opaque>
  readonly edges: () => ReadonlyArray<Meaning>
}

/** What a mention refers to. */
export interface Meaning {
  readonly to: ReadonlyArray<{ readonly vertex: Vertex; readonly slot: number }>
  /** What is not a vertex: a package, a built-in module, members taken from a value. */
  readonly text: string
  readonly packages: ReadonlyArray<Package>
  readonly opaque: ReadonlyArray<Opaque>
}

export interface Graph {
  readonly unit: (file: SourceFile.SourceFile, index: number) => Vertex
  /** The whole text of a file and all that its code reaches. */
  readonly whole: (file: SourceFile.SourceFile) => Vertex
  readonly meaning: (file: SourceFile.SourceFile, reference: Normalise.Reference) => Meaning
  readonly source: (path: string) => SourceFile.SourceFile
  readonly resolve: (importer: SourceFile.SourceFile, specifier: string) => Resolve.Resolution
}

type Path_ = ReadonlyArray<string>

const plain = (text: string): Meaning => ({ to: [], text, packages: [], opaque: [] })

const toVertex = (vertex: Vertex, slot: number, path: Path_): Meaning => ({
  to: [{ vertex, slot }],
  text: path.length === 0 ? "" : JSON.stringify(path),
  packages: [],
  opaque: []
})

/** Whether a path is a source that has a run time: declaration files have none. */
export const isSource = (path: string): boolean =>
  SourceFile.extensions.has(Path.extname(path)) && !/\.d\.[cm]?ts$/.test(path)

export const make = (disk: Disk, self: Resolve.Self | undefined): Graph => {
  const vertices = new Map<string, Vertex>()
  const resolutions = new Map<string, Resolve.Resolution>()

  const resolve = (importer: SourceFile.SourceFile, specifier: string): Resolve.Resolution => {
    const key = `${Path.dirname(importer.path)}\n${specifier}`
    let resolution = resolutions.get(key)
    if (resolution === undefined) {
      resolution = Resolve.resolve(disk, self, importer.path, specifier)
      resolutions.set(key, resolution)
    }
    return resolution
  }

  const vertex = (key: string, make: () => Omit<Vertex, "edges"> & { edges: () => ReadonlyArray<Meaning> }): Vertex => {
    let known = vertices.get(key)
    if (known === undefined) {
      const made = make()
      let edges: ReadonlyArray<Meaning> | undefined
      known = { ...made, edges: () => edges ??= made.edges() }
      vertices.set(key, known)
    }
    return known
  }

  const findings = (file: SourceFile.SourceFile, found: ReadonlyArray<Normalise.Finding>): ReadonlyArray<Opaque> =>
    found.map(({ start, reason }) => ({ file: file.path, line: file.lineOf(start), reason }))

  const unit = (file: SourceFile.SourceFile, index: number): Vertex =>
    vertex(`unit ${index} ${file.path}`, () => {
      const one = file.units[index]!
      return {
        own: one.digest,
        file: file.path,
        line: one.line,
        label: one.label,
        opaque: findings(file, one.findings),
        edges: () => {
          const edges = one.references.map((reference) => meaning(file, reference))
          // Code that is not analysed may use any name of its file.
          const isOpen = one.findings.length > 0 || file.findings.length > 0
          return isOpen ? [...edges, toVertex(whole(file), 0, [])] : edges
        }
      }
    })

  const whole = (file: SourceFile.SourceFile): Vertex =>
    vertex(`whole ${file.path}`, () => ({
      own: `text ${file.textDigest}`,
      file: file.path,
      line: 1,
      label: "(whole file)",
      opaque: findings(file, file.findings),
      edges: () => {
        const units = file.units.map((one) => toVertex(unit(file, one.index), 0, []))
        const isOpen = file.findings.length > 0 || file.units.some((one) => one.findings.length > 0)
        if (!isOpen) return units
        const imports = Array.from(file.bindings).filter(([, binding]) => "specifier" in binding)
        return [...units, ...imports.map(([name]) => meaning(file, { kind: "binding", name, path: [] }))]
      }
    }))

  /** The exports of a file that is no module are made by running it. */
  const script = (file: SourceFile.SourceFile): Vertex =>
    vertex(`script ${file.path}`, () => ({
      own: "script",
      file: file.path,
      line: 1,
      label: undefined,
      opaque: [],
      edges: () => file.units.map((one) => toVertex(unit(file, one.index), 0, []))
    }))

  const content = (path: string): Vertex =>
    vertex(`content ${path}`, () => ({
      own: Path.extname(path) === ".json" ? `json ${disk.json(path).digest}` : `bytes ${disk.content(path)}`,
      file: path,
      line: 1,
      label: "(content)",
      opaque: [],
      edges: () => []
    }))

  /** Every name that a module exports, those of `export *` included. */
  const exportNames = (file: SourceFile.SourceFile, into: Set<string>, seen: Set<string>): Set<string> => {
    if (seen.has(file.path)) return into
    seen.add(file.path)
    for (const name of file.exports.keys()) if (seen.size === 1 || name !== "default") into.add(name)
    for (const star of file.stars) {
      const resolution = resolve(file, star)
      if (resolution.kind === "file" && isSource(resolution.path)) {
        exportNames(disk.source(resolution.path), into, seen)
      }
    }
    return into
  }

  /** What `export *` takes from beyond the project's files, and what it cannot find. */
  const starMeanings = (file: SourceFile.SourceFile, seen: Set<string>): ReadonlyArray<Meaning> => {
    if (seen.has(file.path)) return []
    seen.add(file.path)
    return file.stars.flatMap((star) => {
      const resolution = resolve(file, star)
      return resolution.kind === "file" && isSource(resolution.path)
        ? starMeanings(disk.source(resolution.path), seen)
        : [follow(file, star, "*", [], new Set())]
    })
  }

  /** All of a module's exports: somebody holds the namespace object and may take any member. */
  const namespace = (file: SourceFile.SourceFile): Vertex =>
    vertex(`namespace ${file.path}`, () => {
      const members = Array.from(exportNames(file, new Set(), new Set())).toSorted().flatMap((name) => {
        const member = exportMeaning(file, name, [], new Set())
        // An interface exported without `type` has no run time.
        return member === undefined ? [] : [{ name, member }]
      })
      return {
        own: `namespace ${Digest.ofJson(members.map(({ name }) => name))}`,
        file: file.path,
        line: 1,
        label: undefined,
        opaque: [],
        edges: () => [...members.map(({ member }) => member), ...starMeanings(file, new Set())]
      }
    })

  const joined = (meanings: ReadonlyArray<Meaning>): Meaning => ({
    to: meanings.flatMap((one) => one.to),
    text: JSON.stringify(meanings.map((one) => one.text).toSorted()),
    packages: meanings.flatMap((one) => one.packages),
    opaque: meanings.flatMap((one) => one.opaque)
  })

  /** What the export `name` of `file` is, or `undefined` when it has none with a run time. */
  const exportMeaning = (
    file: SourceFile.SourceFile,
    name: string,
    path: Path_,
    seen: Set<string>
  ): Meaning | undefined => {
    const key = `${name}\n${file.path}`
    if (seen.has(key)) return undefined
    seen.add(key)
    const own = file.exports.get(name)
    if (own !== undefined) {
      return "local" in own
        ? bindingMeaning(file, own.local, path, seen)
        : follow(file, own.specifier, own.imported, path, seen)
    }
    if (!file.isModule) return toVertex(script(file), 0, [name, ...path])
    if (name === "default") return undefined
    const beyond: Array<Meaning> = []
    for (const star of file.stars) {
      const resolution = resolve(file, star)
      if (resolution.kind === "file" && isSource(resolution.path)) {
        const found = exportMeaning(disk.source(resolution.path), name, path, seen)
        if (found !== undefined) return found
      } else beyond.push(follow(file, star, name, path, seen))
    }
    return beyond.length === 0 ? undefined : joined(beyond)
  }

  const memberMeaning = (
    file: SourceFile.SourceFile,
    name: string,
    path: Path_,
    seen: Set<string>
  ): Meaning =>
    exportMeaning(file, name, path, seen) ?? {
      ...toVertex(whole(file), 0, [name, ...path]),
      opaque: [{ file: file.path, line: 1, reason: `it is asked for ${name}, which it does not export` }]
    }

  const bindingMeaning = (
    file: SourceFile.SourceFile,
    name: string,
    path: Path_,
    seen: Set<string>
  ): Meaning | undefined => {
    const binding = file.bindings.get(name)
    if (binding === undefined) return undefined
    return "unit" in binding
      ? toVertex(unit(file, binding.unit), binding.slot, path)
      : follow(file, binding.specifier, binding.imported, path, seen)
  }

  /** What `imported` of the module `specifier` is, and the members of it that `path` takes. */
  const follow = (
    importer: SourceFile.SourceFile,
    specifier: string,
    imported: string,
    path: Path_,
    seen: Set<string>
  ): Meaning => {
    const resolution = resolve(importer, specifier)
    switch (resolution.kind) {
      case "builtin":
        return plain(JSON.stringify(["builtin", resolution.name, imported, ...path]))
      case "package": {
        const { name, subpath, version } = resolution
        return {
          ...plain(JSON.stringify(["package", name, version, subpath, imported, ...path])),
          packages: [{ name, version }]
        }
      }
      case "missing": {
        const start = importer.loads.find((load) => load.specifier === specifier)?.start
        // Loaded while running, a package that is not there is a fact about the installation, like a version.
        if (resolution.absent === true && start === undefined) return plain(JSON.stringify(["absent", specifier]))
        return {
          ...toVertex(whole(importer), 0, ["missing", specifier, imported, ...path]),
          opaque: [{ file: importer.path, line: importer.lineOf(start ?? 0), reason: resolution.reason }]
        }
      }
      case "file": {
        if (!isSource(resolution.path)) return toVertex(content(resolution.path), 0, [imported, ...path])
        const file = disk.source(resolution.path)
        if (imported !== "*") return memberMeaning(file, imported, path, seen)
        const [first, ...rest] = path
        if (first !== undefined) return memberMeaning(file, first, rest, seen)
        return toVertex(file.isModule ? namespace(file) : script(file), 0, [])
      }
    }
  }

  const assetMeaning = (file: SourceFile.SourceFile, specifier: string): Meaning => {
    const url = URL.parse(specifier, pathToFileURL(file.path).href)
    if (url?.protocol === "file:") {
      const path = fileURLToPath(url)
      if (disk.isFile(path)) return follow(file, path, "*", [], new Set())
    }
    // `import.meta.resolve("package")`; or a folder, an address, a file that is yet to be made.
    return /^[./]/.test(specifier) || resolve(file, specifier).kind === "missing"
      ? plain(JSON.stringify(["asset"]))
      : follow(file, specifier, "*", [], new Set())
  }

  const meaning = (file: SourceFile.SourceFile, reference: Normalise.Reference): Meaning => {
    switch (reference.kind) {
      case "binding":
        // Normalisation mentions only names that the file binds, so the fallback is for exhaustiveness.
        return bindingMeaning(file, reference.name, reference.path, new Set())
          ?? toVertex(whole(file), 0, [reference.name, ...reference.path])
      case "module":
        return follow(file, reference.specifier, "*", [], new Set())
      case "asset":
        return assetMeaning(file, reference.specifier)
    }
  }

  return { unit, whole, meaning, source: disk.source, resolve }
}
