import type { Digest } from '@tsbuild/digest'
import type { Graph, Vertex } from '@tsbuild/graph'
import type { Descriptor } from '@tsbuild/oci'
import { stepIds } from './definition.ts'

/**
 * The layers that each step of the result's own stack had made when it was done, by its output: `step2:0`. Undefined where the
 * layers are not those of the graph, as for an image without a file system.
 */
export function layersOf(
  { vertices, target }: Graph,
  layers: readonly Descriptor[],
): Readonly<Record<string, readonly (readonly Descriptor[])[]>> | undefined {
  if (target === undefined) return undefined
  const byDigest = new Map(vertices.map((vertex) => [vertex.digest, vertex]))
  const ids = stepIds(vertices)
  const stack = stackUpon(target, byDigest)
  if (stack === undefined || stack.reduce((sum, { count }) => sum + count, 0) !== layers.length)
    return undefined
  let end = 0
  const entries = stack.map(({ vertex, count }) => {
    end += count
    return [`${ids.get(vertex.digest)}:0`, [layers.slice(0, end).map(plain)]] as const
  })
  return Object.fromEntries(entries)
}

/** The steps from the lowest on, and how many layers each adds. Undefined for a merge, whose parts are no stack. */
function stackUpon(target: Digest, byDigest: ReadonlyMap<Digest, Vertex>) {
  const stack: { readonly vertex: Vertex; readonly count: number }[] = []
  let next: Digest | undefined = target
  while (next !== undefined) {
    const vertex = byDigest.get(next)
    if (vertex === undefined) return undefined
    const { op, inputs } = vertex
    if (op.kind === 'merge') return undefined
    stack.unshift({ vertex, count: op.kind === 'image' ? op.layers.length : 1 })
    const base: number | undefined = op.kind === 'exec' || op.kind === 'file' ? op.rootfs : undefined
    next = base === undefined ? undefined : inputs[base]
  }
  return stack
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}
