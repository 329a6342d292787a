/**
 * What a run would do: which stages are cached, which would run and why, and
 * which cannot be known before others have run. Nothing is executed.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Digest from "../store/Digest.ts"
import type * as Key from "../store/Key.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"
import { NotPlanned, type RunError } from "./Errors.ts"
import type { Executor } from "./Executor.ts"
import * as GraphRun from "./GraphRun.ts"
import * as Invocation from "./Invocation.ts"
import * as Node from "./Node.ts"
import { Planning } from "./Planning.ts"

export interface Step {
  readonly node: Node.Any
  /** On whose behalf, as in `"trial 3"`; empty for the pipeline itself. */
  readonly owner: string
  readonly status: Status
}

export type Status =
  | { readonly _tag: "cached"; readonly key: string }
  | { readonly _tag: "run"; readonly key: string; readonly why: string }
  | { readonly _tag: "unknown"; readonly until: string }

/**
 * The plan of a node: one step for each stage call that can be foreseen,
 * upstream before downstream.
 *
 * A study is followed as far as the trials it asks for are cached; what it would
 * decide after that is unknown until they have run.
 */
export const plan: <A, E, R>(
  node: Node.Node<A, E, R>
) => Effect.Effect<ReadonlyArray<Step>, E | RunError, R | Store | Executor> = Effect.fn("Pipeline.plan")(
  function*(root: Node.Any): Effect.fn.Return<any, any, any> {
    const known = new Map<Node.Any, Known>()
    const explain = yield* makeExplain
    const graph = yield* GraphRun.make(Effect.fnUntraced(function*({ inputs, node, onRecord, owner }) {
      const { components, key, stage } = yield* Invocation.of(node, inputs)
      const record = yield* Invocation.lookup(key)
      if (record === undefined) {
        known.set(node, { owner, status: { _tag: "run", key, why: yield* explain(components) } })
        return yield* new NotPlanned({ until: stage.name })
      }
      known.set(node, { owner, status: { _tag: "cached", key } })
      onRecord(record)
      return yield* Invocation.answer(stage, record)
    }))
    const exit = yield* Effect.exit(graph.run(root, "")).pipe(Effect.provideService(Planning, true))
    yield* graph.settled
    if (Exit.isFailure(exit)) {
      const error = GraphRun.failureOf(exit)
      if (!(error instanceof NotPlanned)) return yield* exit
    }
    return inOrder(graph.nodes(), known)
  },
  Effect.scoped
)

interface Known {
  readonly owner: string
  readonly status: Status
}

/** One step a key, in the order of the graph, the trials of a study before the study. */
const inOrder = (
  visited: ReadonlyArray<GraphRun.Visited>,
  known: ReadonlyMap<Node.Any, Known>
): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  const keys = new Set<string>()
  const add = ({ node, owner, succeeded }: GraphRun.Visited) => {
    const status = known.get(node)?.status ?? unknownStatus(node, succeeded, known)
    if (status === undefined || (status._tag !== "unknown" && keys.has(status.key))) return
    if (status._tag !== "unknown") keys.add(status.key)
    steps.push({ node, owner, status })
  }
  const asked = Map.groupBy(
    visited.filter(({ owner }) => owner !== ""),
    ({ owner }) => owner.replace(/ trial \d+$/, "")
  )
  const own = visited.filter(({ owner }) => owner === "")
  const placed = new Set<GraphRun.Visited>()
  const place = (item: GraphRun.Visited) => {
    if (placed.has(item)) return
    placed.add(item)
    if (item.node.op._tag === "Expand") {
      const trials = asked.get(item.node.name) ?? []
      asked.delete(item.node.name)
      const needed = upstreamOf(trials.map(({ node }) => node))
      own.filter(({ node }) => needed.has(node)).forEach(place)
      trials.forEach(place)
    }
    add(item)
  }
  own.forEach(place)
  return steps
}

const upstreamOf = (nodes: ReadonlyArray<Node.Any>): ReadonlySet<Node.Any> => {
  const seen = new Set(nodes)
  // A set that grows while it is walked is walked to its end.
  for (const node of seen) for (const dependency of Node.dependencies(node)) seen.add(dependency)
  return seen
}

const unknownStatus = (
  node: Node.Any,
  succeeded: boolean,
  known: ReadonlyMap<Node.Any, Known>
): Status | undefined => {
  if (succeeded || (node.op._tag !== "Invoke" && node.op._tag !== "Expand")) return undefined
  const until = blockedBy(node, known)
  return until === undefined ? undefined : { _tag: "unknown", until }
}

/** The nearest stage upstream that would run. */
const blockedBy = (
  node: Node.Any,
  known: ReadonlyMap<Node.Any, Known>
): string | undefined => {
  const queue: Array<Node.Any> = [node]
  const seen = new Set<Node.Any>()
  for (const next of queue) {
    if (seen.has(next)) continue
    seen.add(next)
    if (known.get(next)?.status._tag === "run") return next.name
    if (next !== node && next.op._tag === "Expand") return next.name
    queue.push(...Node.dependencies(next))
  }
  return node.op._tag === "Expand" ? "the rest of it" : undefined
}

/**
 * Why a stage has no result under its key: what differs from the most similar
 * run that the store has of it.
 */
const makeExplain = Effect.gen(function*() {
  const store = yield* Store
  let byStage: ReadonlyMap<string, ReadonlyArray<RunRecord>> | undefined
  return Effect.fnUntraced(function*(components: Key.Components): Effect.fn.Return<string, StoreError> {
    byStage ??= Map.groupBy(yield* store.runs, (record) => record.stage)
    const differences = (byStage.get(components.stage) ?? []).map((record) => differencesOf(components, record))
    const fewest = differences.toSorted((a, b) => a.length - b.length)[0]
    if (fewest === undefined) return "it has never run in this store"
    if (fewest.length === 0) return "its stored result is damaged or incomplete"
    return fewest.slice(0, 3).join("; ") + (fewest.length > 3 ? `; and ${fewest.length - 3} more` : "")
  })
})

const differencesOf = (now: Key.Components, before: RunRecord): ReadonlyArray<string> => {
  const found: Array<string> = []
  if (now.fingerprint !== before.fingerprint) found.push("its code changed")
  const nowParams = now.params as Readonly<Record<string, unknown>>
  const beforeParams = before.params as Readonly<Record<string, unknown>>
  for (const name of union(nowParams, beforeParams)) {
    const from = show(beforeParams[name]), to = show(nowParams[name])
    if (from !== to) found.push(`parameter ${name}: ${from} → ${to}`)
  }
  for (const name of union(now.inputs, before.inputs)) {
    if (now.inputs[name] === before.inputs[name]) continue
    if (before.inputs[name] === undefined) found.push(`input ${name} was added`)
    else if (now.inputs[name] === undefined) found.push(`input ${name} was removed`)
    else found.push(`input ${name} changed`)
  }
  if (Digest.canonicalJson(now.runtime) !== Digest.canonicalJson(before.runtime)) {
    const name = (runtime: Key.Components["runtime"]) =>
      runtime === null ? "none" : `${runtime.backend} ${runtime.version} (${runtime.determinism})`
    found.push(`runtime ${name(before.runtime)} → ${name(now.runtime)}`)
  }
  return found
}

const union = (a: object, b: object): ReadonlyArray<string> => [...new Set([...Object.keys(a), ...Object.keys(b)])]

const show = (value: unknown): string => {
  const text = value === undefined ? "none" : JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
