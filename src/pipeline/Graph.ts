/**
 * The graph of a pipeline as data and as drawings.
 */
import * as Graph from "effect/Graph"
import * as Node from "./Node.ts"

/** The nodes a node reads from directly, with projections looked through, and the name of each edge. */
const upstream = (node: Node.Any): ReadonlyArray<readonly [label: string, source: Node.Any]> => {
  const { op } = node
  switch (op._tag) {
    case "Invoke":
      return Object.entries(op.inputs).map(([name, input]) => [name, origin(input)])
    case "Struct":
      return Object.entries(op.sources).map(([name, source]) => [name, origin(source)])
    case "List":
      return op.sources.map((source, index) => [String(index), origin(source)])
    case "Expand":
      return [
        ...op.expand.sources.map((source) => ["", origin(source)] as const),
        ["", origin(op.expand.template)]
      ]
    case "At":
    case "Source":
      return []
  }
}

/** The node that does the work behind a chain of projections. */
const origin = (node: Node.Any): Node.Any => {
  let current = node
  while (current.op._tag === "At") current = current.op.source
  return current
}

/**
 * The graph of a node and its upstream. Projections are not nodes of it; a study
 * is drawn with one trial, at the defaults of its space.
 */
export const toGraph = (root: Node.Any): Graph.DirectedGraph<Node.Any, string> =>
  Graph.directed((graph) => {
    const indices = new Map<Node.Any, Graph.NodeIndex>()
    const stack = [origin(root)]
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
