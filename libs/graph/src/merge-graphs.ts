import type { Digest } from '@tsbuild/digest'
import type { Graph, MergedGraph, Vertex } from './types.ts'

/** Puts graphs together. A vertex of several has the name that it has in the first of them. */
export function mergeGraphs(graphs: readonly Graph[]): MergedGraph {
  const vertices = new Map<Digest, Vertex>()
  // Inputs come before their readers in each graph, so also in a list of what each adds to those before it.
  for (const graph of graphs) {
    for (const vertex of graph.vertices) if (!vertices.has(vertex.digest)) vertices.set(vertex.digest, vertex)
  }
  return { vertices: [...vertices.values()], targets: graphs.map(({ target }) => target) }
}
