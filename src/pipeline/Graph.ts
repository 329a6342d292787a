/**
 * The graph of a pipeline as data and as drawings.
 */
import * as Graph from "effect/Graph"
import * as Node from "./Node.ts"

type Edge = readonly [label: string, source: Node.Any]

/** The nodes a node reads from directly, with wiring looked through, and the name of each edge. */
const upstream = (node: Node.Any): ReadonlyArray<Edge> => {
  const { op } = node
  switch (op._tag) {
    case "Invoke":
      return Object.entries(op.inputs).flatMap(([name, input]) => edges(name, input))
    case "Struct":
      return Object.entries(op.sources).flatMap(([name, source]) => edges(name, source))
    case "List":
      return op.sources.flatMap((source, index) => edges(String(index), source))
    case "Expand":
      return [...op.expand.sources, op.expand.template].flatMap((source) => edges("", source))
    case "At":
    case "Source":
      return []
  }
}

const edges = (label: string, source: Node.Any): ReadonlyArray<Edge> => workers(source).map((worker) => [label, worker])

/** The nodes that do the work behind projections and nodes put together: often one. */
const workers = (node: Node.Any): ReadonlyArray<Node.Any> => {
  const found = new Set<Node.Any>()
  const stack: Array<Node.Any> = [node]
  while (stack.length > 0) {
    const next = stack.pop()!
    const { op } = next
    if (op._tag === "Struct") stack.push(...Object.values(op.sources))
    else if (op._tag === "List") stack.push(...op.sources)
    else if (op._tag !== "At") found.add(next)
    else if (op.source.op._tag === "Struct") stack.push(op.source.op.sources[op.key]!)
    else stack.push(op.source)
  }
  return [...found]
}

/**
 * The graph of a node and its upstream. Wiring is no node of it: projections, and
 * nodes put together, except where they are the root. A study is drawn with one
 * trial, at the defaults of its space.
 */
export const toGraph = (root: Node.Any): Graph.DirectedGraph<Node.Any, string> =>
  Graph.directed((graph) => {
    const indices = new Map<Node.Any, Graph.NodeIndex>()
    const stack = root.op._tag === "At" ? [...workers(root)] : [root]
    // Nodes first, then edges, both by loops: a chain may be ten thousand long.
    while (stack.length > 0) {
      const node = stack.pop()!
      if (indices.has(node)) continue
      indices.set(node, Graph.addNode(graph, node))
      for (const [, source] of upstream(node)) stack.push(source)
    }
    for (const [node, index] of indices) {
      for (const [label, source] of upstream(node)) Graph.addEdge(graph, indices.get(source)!, index, label)
    }
  })

const labelOf = (node: Node.Any): string => node.op._tag === "Source" ? node.op.description : node.name

/** The graph as a Mermaid flowchart. */
export const toMermaid = (root: Node.Any): string =>
  Graph.toMermaid(toGraph(root), {
    direction: "LR",
    nodeLabel: labelOf,
    nodeShape: (node) => {
      switch (node.op._tag) {
        case "Expand":
          return "hexagon"
        case "Source":
          return "cylindrical"
        default:
          return "rectangle"
      }
    }
  })

/** The graph in the DOT language of Graphviz. */
export const toDot = (root: Node.Any): string =>
  Graph.toGraphViz(toGraph(root), { graphName: "pipeline", nodeLabel: labelOf })
