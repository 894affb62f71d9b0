import { readFileSync } from 'node:fs'
import {
  type CacheConfig,
  type ContentEntry,
  contentDigests,
  contentTree,
  type FoundStep,
  parseCacheConfig,
  parseInlineCache,
  searchSteps,
  writeSteps,
} from '@tsbuild/buildkit-cache'
import { type DiffId, type Digest, digestBytes } from '@tsbuild/digest'
import { parseDockerfile } from '@tsbuild/dockerfile'
import { toGraph } from '@tsbuild/frontend'
import type { Graph, Vertex } from '@tsbuild/graph'
import type { Descriptor } from '@tsbuild/oci'
import type { PlannedInput, PlannedStep } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'

/*
 * What BuildKit made of a Dockerfile, and what we find in it. The caches were made by the programs that they name, of the files
 * that are beside them: testdata/README.md says how.
 */
interface Goldens {
  readonly base: {
    readonly env: readonly string[]
    readonly diffIds: readonly DiffId[]
    readonly layers: readonly Descriptor[]
  }
  readonly files: readonly {
    readonly path: string
    readonly mode: string
    readonly base64?: string
    readonly link?: string
  }[]
  readonly builds: readonly {
    readonly by: string
    readonly network: 'default' | 'none'
    readonly dockerfile: readonly string[]
    readonly cache: {
      readonly manifest: { readonly layers: readonly Descriptor[] }
      readonly config?: object
      readonly image?: object
    }
  }[]
}

const goldens: Goldens = JSON.parse(
  readFileSync(new URL('testdata/buildkit-wide.json', import.meta.url), 'utf8'),
)

const bytesOf = (base64 = '') => Buffer.from(base64, 'base64')
const entries = goldens.files.map(
  ({ path, mode, base64, link }): ContentEntry => ({
    path,
    kind: link !== undefined ? 'symlink' : base64 === undefined ? 'directory' : 'file',
    mode: Number.parseInt(mode, 8),
    uid: 0,
    gid: 0,
    size: bytesOf(base64).length,
    sha256: undefined,
    target: link ?? '',
    attributes: [],
  }),
)

async function* read({ path }: ContentEntry): AsyncIterable<Uint8Array> {
  yield bytesOf(goldens.files.find((file) => file.path === path)?.base64)
}

async function graphOf({ dockerfile, network }: Goldens['builds'][number]): Promise<Graph> {
  const platform = { os: 'linux', architecture: 'amd64' }
  const { base } = goldens
  const { graph } = await toGraph({
    dockerfile: parseDockerfile(dockerfile.join('\n'), 'Dockerfile'),
    target: undefined,
    buildArgs: {},
    labels: {},
    platform,
    buildPlatform: platform,
    isOneOfSeveral: false,
    noCache: false,
    network,
    extraHosts: [],
    allow: [],
    ulimits: [],
    shmSizeBytes: undefined,
    cgroupParent: undefined,
    namedContexts: new Map(),
    context: {
      sourceDate: async () => undefined,
      remoteDate: async () => undefined,
      hiddenBy: async () => undefined,
    },
    warn: () => {},
    resolveImage: async () => ({
      reference: 'registry.test/busybox:test',
      manifest: digestBytes('manifest'),
      layers: base.layers.map((layer, index) => ({ ...layer, diffId: base.diffIds[index] as DiffId })),
      config: {
        platform,
        config: { env: base.env },
        diffIds: base.diffIds,
        history: base.layers.map(() => ({ createdBy: 'busybox' })),
      },
    }),
  })
  return graph
}

function configOf({ cache }: Goldens['builds'][number]): CacheConfig {
  const bytes = (value: object) => Buffer.from(JSON.stringify(value))
  if (cache.config !== undefined) return parseCacheConfig(bytes(cache.config), cache.manifest.layers).config
  const inline = parseInlineCache(bytes(cache.image ?? {}), cache.manifest)
  if (inline === undefined) throw new Error('the golden has no cache')
  return inline
}

function planned(vertex: Vertex, vertexOf: (digest: Digest) => Vertex | undefined): PlannedStep {
  const inputs = vertex.inputs.map((digest): PlannedInput => {
    const kind = vertexOf(digest)?.op.kind
    if (kind === 'image') return { kind: 'source', key: { kind: 'image' } }
    if (kind === 'local') return { kind: 'content', digest: digestBytes(vertex.name), preimage: null }
    return { kind: 'step', vertex: digest }
  })
  const kind = vertex.op.kind === 'merge' ? 'view' : 'step'
  return { vertex, kind, op: { name: vertex.name }, inputs, inputNames: [] }
}

async function find(
  build: Goldens['builds'][number],
  config = configOf(build),
): Promise<readonly (readonly [string, FoundStep | undefined])[]> {
  const graph = await graphOf(build)
  const vertexOf = (digest: Digest) => graph.vertices.find((vertex) => vertex.digest === digest)
  const digests = contentDigests(contentTree(entries), read)
  const search = searchSteps(config, {
    vertexOf,
    platforms: ['linux/amd64'],
    known: () => undefined,
    contentOf: (_, selectors, dialect) => digests.of(selectors, dialect),
  })
  const steps = graph.vertices
    .filter(({ op }) => op.kind !== 'image' && op.kind !== 'local')
    .map((vertex) => planned(vertex, vertexOf))
  const found = await search.plan(steps)
  return steps.map((step) => [step.vertex.name, found.find((one) => one.step === step)] as const)
}

/** Records of BuildKit's of which we write no one of the same name. */
async function unknownRecords(build: Goldens['builds'][number]): Promise<number> {
  const { vertices } = await graphOf(build)
  const digests = contentDigests(contentTree(entries), read)
  const ours = await writeSteps(vertices, {
    resultOf: () => undefined,
    forDocker: build.by.startsWith('docker.io'),
    contentOf: (_, selectors, dialect) => digests.of(selectors, dialect),
  })
  const names = new Set(ours.records.map(({ digest }) => digest))
  return configOf(build).records.filter(({ digest, inputs }) => inputs.length > 0 && !names.has(digest))
    .length
}

describe('what BuildKit made of a Dockerfile with everything in it', () => {
  it.each(goldens.builds)('$by', async (build) => {
    const found = await find(build)
    const lines = found.map(([name, step]) => `${step === undefined ? '-' : 'found'} ${name}`)
    expect(lines.join('\n')).toMatchSnapshot()
  })

  it('looks at a chain of layers no more often than once, however many results a cache says are upon it', async () => {
    const [build] = goldens.builds
    if (build === undefined) throw new Error('there is no golden')
    const config = configOf(build)
    const [layer] = config.layers
    if (layer === undefined) throw new Error('the golden has no layers')
    let looks = 0
    const counted = (parent: number) => ({
      ...layer,
      get parent() {
        looks += 1
        return parent
      },
    })
    const depth = 300
    const from = config.layers.length
    const deep = Array.from({ length: depth }, (_, place) => counted(place === 0 ? -1 : from + place - 1))
    const upon = Array.from({ length: 200 }, () => ({ layer: from + depth - 1, createdAt: undefined }))
    const found = await find(build, {
      layers: [...config.layers, ...deep],
      records: config.records.map((record) => ({ ...record, results: [...upon, ...record.results] })),
    })
    expect(found.map(([, step]) => step?.layer)).toEqual((await find(build)).map(([, step]) => step?.layer))
    expect(looks).toBeLessThanOrEqual(2 * depth)
  })

  it.each(goldens.builds)('has the keys that we make: $by', async (build) => {
    // With --exclude and --parents, which only later versions have, and what stands upon them.
    const without = build.by.startsWith('docker.io') ? 0 : 5
    expect(await unknownRecords(build)).toBe(without)
  })
})
