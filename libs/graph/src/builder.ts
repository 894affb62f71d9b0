import { type Digest, digestKey, type KeyValue } from '@tsbuild/digest'
import type { SourceRange } from '@tsbuild/errors'
import type { Graph, Op, Vertex } from './types.ts'

/** What {@link GraphBuilder.add} takes besides the op. */
export interface VertexOptions {
  readonly inputs: readonly Digest[]
  readonly name: string
  readonly source?: SourceRange | null | undefined
  readonly ignoreCache?: boolean | undefined
}

/** Collects vertices. The same op over the same inputs is one vertex, under the name it had first. */
export interface GraphBuilder {
  /** @throws {RangeError} if an input was not added before */
  add(op: Op, options: VertexOptions): Digest
  /** What was added. @throws {RangeError} if nothing has this digest */
  get(digest: Digest): Vertex
  /** The vertices that `target` needs, in the order they were added. */
  build(target: Digest | undefined): Graph
}

/** Starts an empty graph. */
export function createGraphBuilder(): GraphBuilder {
  const vertices = new Map<Digest, Vertex>()
  return {
    add(op, { inputs, name, source = null, ignoreCache = false }) {
      for (const input of inputs) {
        if (!vertices.has(input)) throw new RangeError(`input ${input} of "${name}" is not in the graph`)
      }
      const digest = vertexDigest(op, inputs, ignoreCache)
      if (!vertices.has(digest)) vertices.set(digest, { digest, op, inputs, name, source, ignoreCache })
      return digest
    },
    get(digest) {
      const vertex = vertices.get(digest)
      if (vertex === undefined) throw new RangeError(`vertex ${digest} is not in the graph`)
      return vertex
    },
    build(target) {
      const wanted = reachable(vertices, target)
      return { vertices: [...vertices.values()].filter((vertex) => wanted.has(vertex.digest)), target }
    },
  }
}

/**
 * The digest of a vertex: op, inputs and whether it must run. The `-ignorecache` twin is another vertex, so that a
 * forced run is never taken for a cached one.
 */
export function vertexDigest(op: Op, inputs: readonly Digest[], ignoreCache: boolean): Digest {
  return digestKey('tsbuild.vertex.v1', { op: op as unknown as KeyValue, inputs, ignoreCache })
}

function reachable(vertices: ReadonlyMap<Digest, Vertex>, target: Digest | undefined): ReadonlySet<Digest> {
  const wanted = new Set<Digest>()
  const pending = target === undefined ? [] : [target]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (wanted.has(next)) continue
    wanted.add(next)
    pending.push(...(vertices.get(next)?.inputs ?? []))
  }
  return wanted
}
