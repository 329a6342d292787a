/**
 * The fingerprint of a stage: a digest of the code that the stage reaches.
 *
 * Starting at the top-level declaration that makes the stage, everything of
 * module level that it mentions is collected, then what that mentions, across
 * the project's files. Each piece counts by its normalised syntax tree, so that
 * comments, formatting, types, the names of things and the files they stand in
 * change nothing, while a changed constant, default or operator anywhere on the
 * way changes the digest. Packages count by name and version.
 *
 * The collected pieces are numbered in the order in which they are first
 * mentioned, and a mention is hashed as the number of what it means. This is
 * renaming at module level: it needs no names, has no trouble with cycles, and
 * tells two equal declarations apart where it matters which one is meant.
 *
 * Beside what the stage mentions, these count, since they can change what it
 * does:
 *
 * - every top-level statement that is not a declaration, of every file that
 *   loading the stage loads,
 * - every top-level piece of those files that assigns to something the stage
 *   reaches, or calls a mutating method on it,
 * - every package that those files import for its effects alone.
 *
 * What cannot be followed counts with the whole text of its file and all that
 * the file reaches, and is listed as opaque.
 *
 * Outside of what is seen: effects hidden in the initialiser of a declaration
 * that is not reached, changes through an alias, files opened by a computed
 * path, and arguments of a function that makes a stage when it is called from
 * other files (the stage is listed as opaque).
 */
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Digest from "../store/Digest.ts"
import * as Disk from "./Disk.ts"
import * as Graph from "./Graph.ts"
import type * as SourceFile from "./SourceFile.ts"

export type { Opaque, Package } from "./Graph.ts"
export { SourceError } from "./SourceError.ts"

/** Where a stage is made. */
export interface Site {
  /** The absolute path or `file:` URL of the module that makes the stage. */
  readonly file: string
  /** The literal given to `make`. */
  readonly name: string
  /** The line of the call, from 1: it decides when the name does not. */
  readonly line?: number | undefined
}

/** A piece of code that counts. */
export interface Reached {
  readonly file: string
  /** The names it declares, or the first words of a statement. */
  readonly declaration: string
  readonly line: number
  /** The digest of its own code, without what it mentions: what differs here is what was edited. */
  readonly digest: string
  /** The place in the list of the piece that mentions it first; absent where collection begins. */
  readonly from?: number
}

export interface Fingerprint {
  /** 64 hexadecimal digits. */
  readonly digest: string
  /** In the order of mention: the stage's own declaration first. */
  readonly reached: ReadonlyArray<Reached>
  /** Sorted by name. */
  readonly packages: ReadonlyArray<Graph.Package>
  readonly opaque: ReadonlyArray<Graph.Opaque>
}

export interface Options {
  /**
   * The project's own package, when its files import it by name: the name, and
   * the absolute path or `file:` URL of the file it stands for. Without this a
   * project's import of itself is followed through its `exports`.
   */
  readonly self?: { readonly name: string; readonly entry: string } | undefined
}

export interface Analyser {
  /**
   * The fingerprint of one stage, from the files as they are now.
   *
   * Throws `SourceError` when a file that the stage loads cannot be read or parsed.
   */
  readonly ofStage: (site: Site) => Fingerprint
}

const pathOf = (fileOrUrl: string): string =>
  Path.resolve(fileOrUrl.startsWith("file:") ? fileURLToPath(fileOrUrl) : fileOrUrl)

/** What the reached pieces and their numbering come from: groups of pieces to start at. */
type Roots = ReadonlyArray<ReadonlyArray<Graph.Vertex>>

interface Listing {
  readonly digest: string
  readonly order: ReadonlyArray<Graph.Vertex>
  /** For each of `order`, the number of the vertex that mentions it first. */
  readonly from: ReadonlyArray<number | undefined>
}

/** Numbers and hashes what can be reached, breadth first, group after group. */
const list = (groups: Roots, extra: ReadonlyArray<string>): Listing => {
  const numbers = new Map<Graph.Vertex, number>()
  const order: Array<Graph.Vertex> = []
  const from: Array<number | undefined> = []
  const number = (vertex: Graph.Vertex, by: number | undefined): number => {
    let known = numbers.get(vertex)
    if (known === undefined) {
      known = order.length
      numbers.set(vertex, known)
      order.push(vertex)
      from.push(by)
    }
    return known
  }
  const hasher = Digest.hasher().update(`fingerprint 1 ${JSON.stringify(extra)}\n`)
  let next = 0
  for (const group of groups) {
    hasher.update(`group ${group.map((vertex) => number(vertex, undefined)).join(" ")}\n`)
    for (; next < order.length; next++) {
      let line = order[next]!.own
      for (const edge of order[next]!.edges()) {
        line += " ("
        for (const { slot, vertex } of edge.to) line += `${number(vertex, next)}.${slot} `
        line += `${edge.text})`
      }
      hasher.update(`${line}\n`)
    }
  }
  return { digest: hasher.digest(), order, from }
}

/** The pieces at which the stage is made, and what is not known about them. */
const origin = (
  graph: Graph.Graph,
  file: SourceFile.SourceFile,
  site: Site
): { readonly roots: ReadonlyArray<Graph.Vertex>; readonly opaque: ReadonlyArray<Graph.Opaque> } => {
  const { line, name } = site
  const covers = (unit: SourceFile.Unit): boolean => line !== undefined && unit.line <= line && line <= unit.endLine
  const named = file.units.filter((unit) => unit.makes.some((made) => made.name === name))
  const chosen = named.length > 1 && named.some(covers) ? named.filter(covers) : named
  const isCall = chosen.length > 0
    ? (made: SourceFile.Unit["makes"][number]) => made.name === name
    : (made: SourceFile.Unit["makes"][number]) => file.lineOf(made.start) === line
  const units = chosen.length > 0 ? chosen : file.units.filter(covers)
  const shown = JSON.stringify(name)
  if (units.length === 0) {
    const reason = `no top-level declaration calls make(${shown}, …)`
    return { roots: [graph.whole(file)], opaque: [{ file: file.path, line: line ?? 1, reason }] }
  }
  const roots = units.map((unit) => graph.unit(file, unit.index))
  const calls = units.flatMap((unit) => unit.makes.filter(isCall))
  if (calls.length > 0 && calls.every((made) => !made.nested)) return { roots, opaque: [] }
  return {
    roots: [...roots, graph.whole(file)],
    opaque: [{
      file: file.path,
      line: calls[0] === undefined ? units[0]!.line : file.lineOf(calls[0].start),
      reason: `the stage ${shown} is made inside a function; arguments that other files pass to it do not count`
    }]
  }
}

/** All that counts beside what the stage mentions, found until nothing new turns up. */
const surroundings = (graph: Graph.Graph, file: SourceFile.SourceFile, roots: ReadonlyArray<Graph.Vertex>) => {
  const reached = new Set<Graph.Vertex>()
  const loaded = new Map<string, SourceFile.SourceFile>()
  const packages = new Map<string, Graph.Package & { readonly subpath: string }>()
  const opaque: Array<Graph.Opaque> = []
  /** Files of which some import leads nowhere. */
  const unresolved = new Set<SourceFile.SourceFile>()
  /** Pieces that change something reached. */
  const writers = new Set<Graph.Vertex>()
  const waiting: Array<Graph.Vertex> = []

  const load = (path: string): void => {
    const pending = [path]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (!loaded.has(next)) pending.push(...loadOne(next))
    }
  }
  /** Returns the files that this one loads. */
  const loadOne = (path: string): ReadonlyArray<string> => {
    const one = graph.source(path)
    const loads: Array<string> = []
    loaded.set(path, one)
    for (const index of one.statements) waiting.push(graph.unit(one, index))
    if (one.findings.length > 0) waiting.push(graph.whole(one))
    for (const { bare, specifier, start } of one.loads) {
      const resolution = graph.resolve(one, specifier)
      if (resolution.kind === "file") {
        if (Graph.isSource(resolution.path)) loads.push(resolution.path)
      } else if (resolution.kind === "package") {
        if (bare) packages.set(`${resolution.name} ${resolution.version} ${resolution.subpath}`, resolution)
      } else if (resolution.kind === "missing") {
        opaque.push({ file: path, line: one.lineOf(start), reason: resolution.reason })
        unresolved.add(one)
        waiting.push(graph.whole(one))
      }
    }
    return loads
  }
  const reach = (): void => {
    for (let vertex = waiting.pop(); vertex !== undefined; vertex = waiting.pop()) {
      if (reached.has(vertex)) continue
      reached.add(vertex)
      if (Graph.isSource(vertex.file)) load(vertex.file)
      for (const edge of vertex.edges()) for (const { vertex: mentioned } of edge.to) waiting.push(mentioned)
    }
  }

  load(file.path)
  waiting.push(...roots)
  for (let size = -1; size !== reached.size;) {
    reach()
    size = reached.size
    for (const one of loaded.values()) {
      for (const unit of one.units) {
        if (unit.writes.length === 0) continue
        const vertex = graph.unit(one, unit.index)
        if (reached.has(vertex)) continue
        const changes = unit.writes.some((write) => graph.meaning(one, write).to.some((to) => reached.has(to.vertex)))
        if (changes) {
          writers.add(vertex)
          waiting.push(vertex)
        }
      }
    }
    reach()
  }

  const groups: Array<ReadonlyArray<Graph.Vertex>> = []
  for (const one of loaded.values()) {
    // Statements act in the order in which they stand; so do variables that change something.
    const ordered = one.units.filter((unit) =>
      unit.kind === "statement" || (unit.kind === "variable" && writers.has(graph.unit(one, unit.index)))
    )
    if (ordered.length > 0) groups.push(ordered.map((unit) => graph.unit(one, unit.index)))
    for (const unit of one.units) {
      const vertex = graph.unit(one, unit.index)
      if ((unit.kind === "function" || unit.kind === "class") && writers.has(vertex)) groups.push([vertex])
    }
    if (one.findings.length > 0 || unresolved.has(one)) groups.push([graph.whole(one)])
  }
  return { groups, packages, opaque }
}

const distinct = <A>(values: Iterable<A>, key: (value: A) => string): ReadonlyArray<A> =>
  Array.from(new Map(Array.from(values, (value) => [key(value), value])).entries())
    .toSorted(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
    .map(([, value]) => value)

/**
 * An analyser, which keeps parsed files in memory and looks at each again when
 * it changed on disk.
 *
 * @example
 * const analyser = Fingerprint.make()
 * const { digest, opaque } = analyser.ofStage({ file: import.meta.url, name: "fine-tune" })
 */
export const make = (options: Options = {}): Analyser => {
  const cache = Disk.cache()
  const self = options.self === undefined
    ? undefined
    : { name: options.self.name, entry: pathOf(options.self.entry) }
  return {
    ofStage: (site) => {
      const graph = Graph.make(Disk.open(cache), self)
      const file = graph.source(pathOf(site.file))
      const start = origin(graph, file, site)
      const around = surroundings(graph, file, start.roots)
      // The order of files means nothing, so groups are ordered by what they are.
      const groups = around.groups
        .map((group) => ({ group, key: `${list([group], []).digest} ${group[0]!.file}` }))
        .toSorted((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
        .map(({ group }) => group)
      const effects = Array.from(around.packages.keys()).toSorted()
      const listing = list([start.roots, ...groups], effects)

      const places = new Map<number, number>()
      const reached: Array<Reached> = []
      listing.order.forEach((vertex, number) => {
        // What has no place in a file stands for whoever mentions it.
        const by = listing.from[number]
        const from = by === undefined ? undefined : places.get(by)
        if (vertex.label === undefined) {
          if (from !== undefined) places.set(number, from)
          return
        }
        places.set(number, reached.length)
        reached.push({
          file: vertex.file,
          declaration: vertex.label,
          line: vertex.line,
          digest: vertex.own.slice(vertex.own.lastIndexOf(" ") + 1),
          ...(from === undefined ? {} : { from })
        })
      })
      const edges = listing.order.flatMap((vertex) => vertex.edges())
      const packages = [...edges.flatMap((edge) => edge.packages), ...around.packages.values()]
      const opaque = [
        ...start.opaque,
        ...around.opaque,
        ...listing.order.flatMap((vertex) => vertex.opaque),
        ...edges.flatMap((edge) => edge.opaque)
      ]
      return {
        digest: listing.digest,
        reached,
        packages: distinct(
          packages.map(({ name, version }) => ({ name, version })),
          ({ name, version }) => `${name}@${version}`
        ),
        opaque: distinct(opaque, ({ file, line, reason }) => `${file}\n${String(line).padStart(9, "0")}\n${reason}`)
      }
    }
  }
}
