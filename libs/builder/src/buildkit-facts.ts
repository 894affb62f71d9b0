import { join } from 'node:path'
import {
  type ContentDigests,
  type ContentEntry,
  type ContentSelector,
  contentDigests,
  contentTree,
  parseFileList,
} from '@tsbuild/buildkit-cache'
import { type BuildContext, openInside } from '@tsbuild/context'
import type { Digest } from '@tsbuild/digest'
import { literalPattern, type MergedGraph, type Vertex } from '@tsbuild/graph'
import type { Native } from '@tsbuild/native'
import type { BuildkitFacts } from '@tsbuild/remote-cache'

/** What BuildKit's keys of this build are made of. */
export interface BuildkitFactsOptions {
  readonly graph: MergedGraph
  readonly contexts: (name: string) => Promise<BuildContext>
  readonly native: Native
}

/** Files of a context are read for BuildKit's keys as long as they are no more than this: a look-up has two seconds. */
const maxContentBytes = 128 * 1024 * 1024

/** A context that is no directory of this machine, or that cannot be read, has no content here: what is made of it is not shared. */
export function buildkitFacts({ graph, contexts, native }: BuildkitFactsOptions): BuildkitFacts {
  const vertices = new Map(graph.vertices.map((vertex) => [vertex.digest, vertex]))
  const known = new Map<string, Promise<ContentDigests | undefined>>()
  const digestsOf = (vertex: Vertex, sources: readonly string[]) => {
    const { op } = vertex
    if (op.kind !== 'local') return undefined
    const name = JSON.stringify([vertex.digest, sources])
    const digests =
      known.get(name) ?? contexts(op.name).then((context) => openDigests(context, native, sources))
    known.set(name, digests)
    return digests
  }
  return {
    platforms: platformsOf(graph),
    vertexOf: (digest: Digest) => vertices.get(digest),
    async contentOf(vertex, selectors, dialect) {
      try {
        return await (await digestsOf(vertex, sourcesOf(selectors)))?.of(selectors, dialect)
      } catch {
        // The step itself says what is wrong with its files.
        return undefined
      }
    },
  }
}

/** Those that its processes run on. */
function platformsOf({ vertices }: MergedGraph): readonly string[] {
  return [...new Set(vertices.flatMap(({ op }) => (op.kind === 'exec' ? [op.platform] : [])))]
}

/** The paths to list: of a pattern the part without a wildcard. */
function sourcesOf(selectors: readonly ContentSelector[]): readonly string[] {
  const paths = selectors.map(({ path, wildcard }) => {
    if (!wildcard) return path
    const names = path.split('/')
    const first = names.findIndex((name) => /[*?[\\]/.test(name))
    return names.slice(0, first).join('/') || '/'
  })
  return paths.includes('/') ? ['/'] : [...new Set(paths)].sort()
}

async function openDigests(
  { tree }: BuildContext,
  native: Native,
  sources: readonly string[],
): Promise<ContentDigests | undefined> {
  if (tree.kind !== 'directory') return undefined
  const selection = {
    sources: sources.map((path) => (path === '/' ? '/' : literalPattern(path.slice(1)))),
    exclude: [],
    parents: true,
    uncounted: [],
  }
  const { selections, manifests } = await native.scan(tree, [selection], { manifests: true })
  const [scanned] = selections
  const list = scanned === undefined ? undefined : manifests.get(scanned.digest)
  if (scanned === undefined || list === undefined || scanned.bytes > maxContentBytes) return undefined
  const entries = parseFileList(list)
  if (entries === undefined) return undefined
  return contentDigests(contentTree(entries), (entry) => readFile(tree.path, entry))
}

async function* readFile(root: string, { path }: ContentEntry): AsyncIterable<Uint8Array> {
  const inside = await openInside(root, join(root, path))
  if (inside.kind !== 'file') throw new Error(`${path} is no file any more`)
  try {
    yield* inside.file.createReadStream({ autoClose: false })
  } finally {
    await inside.file.close()
  }
}
