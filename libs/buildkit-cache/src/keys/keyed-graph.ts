import { chainIdOf, type Digest } from '@tsbuild/digest'
import type { Vertex } from '@tsbuild/graph'
import type { Dialect } from './dialect.ts'
import { execStep } from './exec-step.ts'
import { fileStep } from './file-step.ts'
import { filled } from './go-json.ts'
import { imageKey, type KeyedNode, type KeyedStep, stepKey } from './node.ts'

/** Finds a vertex of the graph by its digest. */
export type VertexOf = (digest: Digest) => Vertex | undefined

/**
 * A vertex as BuildKit counts the step that it is.
 *
 * @returns undefined for a source, and for what this version of BuildKit does not have or counts in a way that is not known here
 */
export function keyedStep(vertex: Vertex, vertexOf: VertexOf, dialect: Dialect): KeyedStep | undefined {
  const nodeOf = (input: Digest) => keyedNode(input, vertexOf)
  const { op } = vertex
  switch (op.kind) {
    case 'exec':
      return execStep(op, vertex, { nodeOf, contextPart: (input) => contextPart(input, vertexOf) }, dialect)
    case 'file':
      return fileStep(op, vertex, nodeOf, dialect)
    case 'merge': {
      if (!dialect.filters) return undefined
      const nodes = vertex.inputs.map(nodeOf)
      const inputs = nodes.flatMap((node) =>
        node === undefined ? [] : [{ node, selector: '', content: undefined }],
      )
      if (inputs.length < nodes.length) return undefined
      const listed = nodes.map((_, input) => ({ input: dialect.writesZeroIndexes ? input : filled(input) }))
      return { digest: stepKey({ Type: 'buildkit.merge.v0', Merge: { inputs: listed } }), inputs }
    }
    default:
      return undefined
  }
}

function keyedNode(digest: Digest, vertexOf: VertexOf): KeyedNode | undefined {
  const vertex = vertexOf(digest)
  if (vertex === undefined) return undefined
  const { op } = vertex
  if (op.kind !== 'image') return { kind: 'vertex', vertex: digest }
  const chain = chainIdOf(op.layers.map(({ diffId }) => diffId))
  return chain === undefined ? undefined : { kind: 'root', digest: imageKey(chain), manifest: op.manifest }
}

/** Whether a vertex is the copy of a context that a mount shows. */
export function isContextMount(digest: Digest, vertexOf: VertexOf): boolean {
  return contextPart(digest, vertexOf) !== undefined
}

/** A mount of a context is a copy of it here, so that the process does not see the context itself. */
function contextPart(digest: Digest, vertexOf: VertexOf) {
  const { op, inputs = [] } = vertexOf(digest) ?? {}
  if (op?.kind !== 'file' || op.rootfs !== undefined || op.actions.length !== 1) return undefined
  const [action] = op.actions
  const input = action?.kind === 'copy' ? inputs[action.input] : undefined
  if (action?.kind !== 'copy' || input === undefined || vertexOf(input)?.op.kind !== 'local') return undefined
  const [source] = action.sources
  const isWhole = source === '/' && action.dest === '/'
  if (source === undefined || (!isWhole && action.dest !== '/source')) return undefined
  const path = isWhole
    ? '/'
    : `/${source.replace(/\[(\\\\|[*?[])\]/g, (_, mark: string) => mark.at(-1) ?? '')}`
  return { node: { kind: 'vertex', vertex: input } as const, path }
}
