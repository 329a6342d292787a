/**
 * Runs a graph of nodes: every node once, as soon as what it needs is there,
 * each in a fiber that belongs to the run.
 *
 * The graph is walked by loops and counters, never by recursion or by fibers
 * that wait for each other in a chain: those overflow the stack from about a
 * thousand links on.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Artifact from "../store/Artifact.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import * as Codec from "./Codec.ts"
import * as Node from "./Node.ts"
import { Progress } from "./Progress.ts"

/** What a node came to. */
export interface Computed {
  readonly value: unknown
  readonly json: Schema.Json
  /** Digest of the content: what the keys of downstream stages are made of. */
  readonly digest: string
}

/** A node that calls a stage, when all its inputs are there. */
export interface Call {
  readonly node: Node.Any
  readonly inputs: Readonly<Record<string, Computed>>
  readonly owner: string
  /** How many nodes deep it is: what is nearer to a result goes before what only begins. */
  readonly priority: number
  /** To be told the record of the run, be it of a success or of a failure. */
  readonly onRecord: (record: RunRecord) => void
}

/** How the call of a stage is answered: by the store, by running it, or, in a plan, not at all. */
export type Invoke = (call: Call) => Effect.Effect<Computed, unknown, any>

export interface GraphRun {
  /** Runs a node and everything upstream of it that has not run yet. */
  readonly run: (node: Node.Any, owner: string) => Effect.Effect<Computed, unknown, any>
  /** Waits until every node met so far has ended, where a failed one lets `run` end before the others. */
  readonly settled: Effect.Effect<void>
  /** Every node met so far, upstream before downstream; those that a study asked for come after it. */
  readonly nodes: () => ReadonlyArray<Visited>
}

export interface Visited {
  readonly node: Node.Any
  readonly owner: string
  readonly succeeded: boolean
}

interface Entry {
  readonly node: Node.Any
  readonly owner: string
  readonly depth: number
  readonly dependents: Array<Entry>
  /** How many direct dependencies have not ended. */
  waiting: number
  exit: Exit.Exit<Computed, unknown> | undefined
  /** The run behind a node that calls a stage. */
  record: RunRecord | undefined
  readonly result: Deferred.Deferred<Computed, unknown>
}

/** A run whose fibers live in the scope of the caller. */
export const make = Effect.fnUntraced(function*(
  invoke: Invoke
): Effect.fn.Return<GraphRun, never, Scope.Scope | any> {
  const scope = yield* Effect.scope
  const emit = yield* Progress
  const entries = new Map<Node.Any, Entry>()

  /** Enters a node and its upstream; answers those entries that can start at once. */
  const enter = (root: Node.Any, owner: string): ReadonlyArray<Entry> => {
    const ready: Array<Entry> = []
    const stack: Array<{ readonly node: Node.Any; readonly expanded: boolean }> = [{ node: root, expanded: false }]
    while (stack.length > 0) {
      const { expanded, node } = stack.pop()!
      if (entries.has(node)) continue
      const dependencies = [...new Set(Node.dependencies(node))]
      if (!expanded) {
        stack.push({ node, expanded: true })
        for (const dependency of dependencies) {
          if (!entries.has(dependency)) stack.push({ node: dependency, expanded: false })
        }
        continue
      }
      const entry: Entry = {
        node,
        owner,
        depth: dependencies.reduce((depth, dependency) => Math.max(depth, entries.get(dependency)!.depth + 1), 0),
        dependents: [],
        waiting: 0,
        exit: undefined,
        record: undefined,
        result: Deferred.makeUnsafe()
      }
      entries.set(node, entry)
      for (const dependency of dependencies) {
        const upstream = entries.get(dependency)!
        if (upstream.exit !== undefined && Exit.isSuccess(upstream.exit)) continue
        entry.waiting++
        if (upstream.exit === undefined) upstream.dependents.push(entry)
        else entry.exit = upstream.exit
      }
      if (entry.exit !== undefined) Deferred.doneUnsafe(entry.result, entry.exit)
      else if (entry.waiting === 0) ready.push(entry)
    }
    return ready
  }

  /** Marks an entry as ended and starts, or fails, what waited for it. */
  const settle = (ended: Entry, exit: Exit.Exit<Computed, unknown>): Effect.Effect<void, never, any> => {
    const ready: Array<Entry> = []
    const stack = [ended]
    ended.exit = exit
    while (stack.length > 0) {
      const entry = stack.pop()!
      Deferred.doneUnsafe(entry.result, exit)
      for (const dependent of entry.dependents) {
        if (dependent.exit !== undefined) continue
        if (Exit.isSuccess(exit)) {
          if (--dependent.waiting === 0) ready.push(dependent)
        } else {
          dependent.exit = exit
          stack.push(dependent)
        }
      }
    }
    return start(ready)
  }

  const start = (ready: ReadonlyArray<Entry>): Effect.Effect<void, never, any> =>
    Effect.forEach(
      ready,
      (entry) =>
        compute(entry).pipe(
          Effect.exit,
          Effect.flatMap((exit) => settle(entry, exit)),
          Effect.forkIn(scope)
        ),
      { discard: true }
    )

  const computed = (node: Node.Any): Computed => {
    const { exit } = entries.get(node)!
    if (exit === undefined || Exit.isFailure(exit)) throw new Error(`The node "${node.name}" has not run`)
    return exit.value
  }

  /** Encodes a value made by wiring. Its parts were valid before, so it is too. */
  const describe = (node: Node.Any, value: unknown): Effect.Effect<Computed> =>
    Codec.encode(node.output, value).pipe(
      Effect.orDie,
      Effect.map((json) => ({ value, json, digest: Artifact.digestOf(json) }))
    )

  const together = (
    sources: Readonly<Record<string, Node.Any>>
  ): { readonly values: Record<string, unknown>; readonly json: Record<string, Schema.Json> } => {
    const values: Record<string, unknown> = {}
    const json: Record<string, Schema.Json> = {}
    for (const [name, source] of Object.entries(sources)) {
      const part = computed(source)
      values[name] = part.value
      json[name] = part.json
    }
    return { values, json }
  }

  const compute = (entry: Entry): Effect.Effect<Computed, unknown, any> =>
    Effect.suspend(() => {
      const { node, owner } = entry
      const { op } = node
      switch (op._tag) {
        case "Invoke":
          return invoke({
            node,
            inputs: Object.fromEntries(Object.entries(op.inputs).map(([name, input]) => [name, computed(input)])),
            owner,
            priority: entry.depth,
            onRecord: (record) => {
              entry.record = record
            }
          })
        case "At":
          return describe(node, (computed(op.source).value as Readonly<Record<string, unknown>>)[op.key])
        case "Struct": {
          const { json, values } = together(op.sources)
          return Effect.succeed({ value: values, json, digest: Artifact.digestOf(json) })
        }
        case "List": {
          const parts = op.sources.map(computed)
          const json = parts.map((part) => part.json)
          return Effect.succeed({ value: parts.map((part) => part.value), json, digest: Artifact.digestOf(json) })
        }
        case "Source":
          return Effect.flatMap(op.read, (value) => describe(node, value))
        case "Expand":
          return op.expand.run({
            run: (node, owner) => Effect.map(run(node, owner), ({ value }) => value),
            stageRuns,
            emit
          })
            .pipe(Effect.flatMap((value) => describe(node, value)))
      }
    })

  const run = (node: Node.Any, owner: string): Effect.Effect<Computed, unknown, any> =>
    Effect.suspend(() => Effect.andThen(start(enter(node, owner)), Deferred.await(entries.get(node)!.result)))

  const stageRuns = (roots: ReadonlyArray<Node.Any>, since: number): ReadonlyArray<RunRecord> => {
    const found = new Map<string, RunRecord>()
    const seen = new Set<Node.Any>()
    const stack = roots.toReversed().map((node) => ({ node, expanded: false }))
    while (stack.length > 0) {
      const { expanded, node } = stack.pop()!
      if (node.id < since || (!expanded && seen.has(node))) continue
      seen.add(node)
      if (!expanded) {
        stack.push({ node, expanded: true })
        for (const dependency of Node.dependencies(node)) stack.push({ node: dependency, expanded: false })
        continue
      }
      const record = entries.get(node)?.record
      if (record !== undefined && !found.has(record.key)) found.set(record.key, record)
    }
    return [...found.values()]
  }

  return {
    run,
    settled: Effect.gen(function*() {
      // Nodes that are entered meanwhile are met by this loop too.
      for (const { result } of entries.values()) yield* Effect.exit(Deferred.await(result))
    }),
    nodes: () =>
      Array.from(entries.values(), ({ exit, node, owner }) => ({
        node,
        owner,
        succeeded: exit !== undefined && Exit.isSuccess(exit)
      }))
  }
})

/** The error a failed node ended with, for messages. */
export const failureOf = (exit: Exit.Failure<unknown, unknown>): unknown => Cause.squash(exit.cause)
