import type { DiffId, Digest } from '@tsbuild/digest'
import type { Vertex } from '@tsbuild/graph'
import type { Descriptor } from '@tsbuild/oci'
import type { ContentOf } from './find-steps.ts'
import { type Dialect, writtenDialects } from './keys/dialect.ts'
import { keyedStep, type VertexOf } from './keys/keyed-graph.ts'
import { contentKey, type KeyedInput, type KeyedNode, type KeyedStep } from './keys/node.ts'
import type { BuildkitRecord, CacheConfig, CacheLayer, ChainedResult, RecordLink } from './types.ts'
import { normalizeCacheConfig } from './write-config.ts'

/** The file system that a step left. */
export interface StepLayers {
  /** Lowest first: those of the base image too. */
  readonly layers: readonly { readonly descriptor: Descriptor; readonly diffId: DiffId }[]
  /** Unix ms, when the step had run. */
  readonly createdAt: number
}

/** What {@link writeSteps} works with. */
export interface WriteTools {
  /** Of the steps that are exported. What stands between them is named without a result. */
  readonly resultOf: (vertex: Digest) => StepLayers | undefined
  readonly contentOf: ContentOf
  /** Whether Docker 20.10 may read it, which reads inline caches and indexes; else it is for the newest versions alone. */
  readonly forDocker: boolean
}

/**
 * Says what BuildKit would look the steps of a graph up by, and which layers it would find: for each version that is written for, see
 * docs/dev/buildkit-cache.md. A step that BuildKit's key is not known of is left out, and so is what stands upon it.
 *
 * @param vertices inputs before their readers
 */
export async function writeSteps(vertices: readonly Vertex[], tools: WriteTools): Promise<CacheConfig> {
  const writer = new Writer(vertices, tools)
  for (const dialect of tools.forDocker ? writtenDialects : writtenDialects.slice(0, 1)) {
    const places = new Map<Digest, number>()
    for (const vertex of vertices) {
      const place = await writer.add(vertex, places, dialect)
      if (place !== undefined) places.set(vertex.digest, place)
    }
  }
  return normalizeCacheConfig({ layers: writer.layers, records: writer.records })
}

class Writer {
  readonly layers: CacheLayer[] = []
  readonly records: BuildkitRecord[] = []
  readonly #tools: WriteTools
  readonly #vertices: ReadonlyMap<Digest, Vertex>
  readonly #vertexOf: VertexOf
  readonly #layerPlaces = new Map<string, number>()

  constructor(vertices: readonly Vertex[], tools: WriteTools) {
    this.#tools = tools
    this.#vertices = new Map(vertices.map((vertex) => [vertex.digest, vertex]))
    this.#vertexOf = (digest) => this.#vertices.get(digest)
  }

  /** @param places of the records of the vertices before */
  async add(
    vertex: Vertex,
    places: ReadonlyMap<Digest, number>,
    dialect: Dialect,
  ): Promise<number | undefined> {
    const step = keyedStep(vertex, this.#vertexOf, dialect)
    return step === undefined ? undefined : await this.#addStep(step, places, dialect, vertex)
  }

  async #addStep(
    step: KeyedStep,
    places: ReadonlyMap<Digest, number>,
    dialect: Dialect,
    vertex?: Vertex,
  ): Promise<number | undefined> {
    const inputs: (readonly RecordLink[])[] = []
    for (const input of step.inputs) {
      const links = await this.#linksOf(input, places, dialect)
      if (links.length === 0) return undefined
      inputs.push(links)
    }
    const result = vertex === undefined ? undefined : this.#layersOf(vertex)
    return (
      this.records.push({
        digest: step.digest,
        inputs,
        ...resultIn(result, this.#tools.forDocker && dialect.filters),
      }) - 1
    )
  }

  async #linksOf(
    { node, selector, content }: KeyedInput,
    places: ReadonlyMap<Digest, number>,
    dialect: Dialect,
  ): Promise<readonly RecordLink[]> {
    const record = await this.#placeOf(node, places, dialect)
    if (record !== undefined) return [{ selector, record }]
    if (node.kind !== 'vertex' || content === undefined) return []
    const vertex = this.#vertexOf(node.vertex)
    const digest = vertex === undefined ? undefined : await this.#tools.contentOf(vertex, content, dialect)
    return digest === undefined ? [] : [{ selector: '', record: this.#addRoot(contentKey(digest)) }]
  }

  async #placeOf(
    node: KeyedNode,
    places: ReadonlyMap<Digest, number>,
    dialect: Dialect,
  ): Promise<number | undefined> {
    switch (node.kind) {
      case 'vertex':
        return places.get(node.vertex)
      case 'root':
        return this.#addRoot(node.digest)
      case 'step':
        return await this.#addStep(node.step, places, dialect)
    }
  }

  /** The same one is written once: see {@link normalizeCacheConfig}. */
  #addRoot(digest: Digest): number {
    return this.records.push({ digest, inputs: [], results: [], chains: [] }) - 1
  }

  /** The places of the layers of a result, lowest first. */
  #layersOf(vertex: Vertex): ChainedResult | undefined {
    const result = this.#resultOf(vertex)
    if (result === undefined || result.layers.length === 0) return undefined
    const places: number[] = []
    for (const layer of result.layers) places.push(this.#layerPlace(layer, places.at(-1) ?? -1))
    return { layers: places, createdAt: result.createdAt }
  }

  #resultOf(vertex: Vertex): StepLayers | undefined {
    if (vertex.op.kind !== 'merge') return this.#tools.resultOf(vertex.digest)
    const parts = vertex.inputs.map((input) => this.#partOf(input))
    if (parts.includes(undefined)) return undefined
    const all = parts.flatMap((part) => part ?? [])
    return {
      layers: all.flatMap(({ layers }) => layers),
      createdAt: Math.max(0, ...all.map(({ createdAt }) => createdAt)),
    }
  }

  #partOf(digest: Digest): StepLayers | undefined {
    const vertex = this.#vertexOf(digest)
    if (vertex === undefined) return undefined
    if (vertex.op.kind !== 'image') return this.#resultOf(vertex)
    const layers = vertex.op.layers.map(({ diffId, ...descriptor }) => ({ descriptor, diffId }))
    return { layers, createdAt: 0 }
  }

  #layerPlace({ descriptor, diffId }: StepLayers['layers'][number], parent: number): number {
    const name = `${parent} ${descriptor.digest}`
    const known = this.#layerPlaces.get(name)
    if (known !== undefined) return known
    const annotated = {
      ...descriptor,
      annotations: { ...descriptor.annotations, 'containerd.io/uncompressed': diffId },
    }
    const layer = { blob: descriptor.digest, parent, descriptor: annotated, diffId, createdAt: undefined }
    const place = this.layers.push(layer) - 1
    this.#layerPlaces.set(name, place)
    return place
  }
}

/**
 * Where versions have different keys for a step two records name its layers: the later ones read it in the form that the oldest does not know, see
 * {@link normalizeCacheConfig}.
 */
function resultIn(
  result: ChainedResult | undefined,
  isForLater: boolean,
): Pick<BuildkitRecord, 'results' | 'chains'> {
  const top = result?.layers.at(-1)
  if (result === undefined || top === undefined) return { results: [], chains: [] }
  if (isForLater) return { results: [], chains: [result] }
  return { results: [{ layer: top, createdAt: result.createdAt }], chains: [] }
}
