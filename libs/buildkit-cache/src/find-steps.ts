import { type ChainId, chainIdOf, chainUpon, type DiffId, type Digest, digestKey } from '@tsbuild/digest'
import type { Vertex } from '@tsbuild/graph'
import { definitionKey, type PlannedStep, type RecordedInput, type WantedRecord } from '@tsbuild/solver'
import { chainOf, depthsOf } from './chain.ts'
import { type Dialect, dialects } from './keys/dialect.ts'
import { isContextMount, keyedStep, type VertexOf } from './keys/keyed-graph.ts'
import {
  type ContentSelector,
  contentKey,
  type KeyedInput,
  type KeyedNode,
  type KeyedStep,
  manifestKey,
} from './keys/node.ts'
import type { BuildkitRecord, CacheConfig, CacheLayer } from './types.ts'

/** A step of a build that BuildKit has a result of. */
export interface FoundStep {
  readonly step: Pick<PlannedStep, 'vertex' | 'op' | 'inputNames'>
  /** What the step was made of, as it is looked for. */
  readonly inputs: readonly RecordedInput[]
  /** What it is looked for under. */
  readonly key: Digest
  /** Names the file system that the step left; see {@link outputKeyOf}. */
  readonly outputKey: Digest
  /** What the step put upon its base. */
  readonly layer: CacheLayer
  readonly diffId: DiffId
  /** Unix ms. */
  readonly createdAt: number
}

/** What {@link findSteps} asks for. */
export interface FindTools {
  readonly vertexOf: VertexOf
  /** Of the build: `linux/amd64`. */
  readonly platforms: readonly string[]
  /** What is known of a key of ours already. */
  readonly known: (key: Digest) => { readonly outputKey: Digest } | undefined
  /**
   * What BuildKit's contenthash gives for what is read of a context.
   * @returns undefined where that cannot be said
   */
  readonly contentOf: ContentOf
}

/** See {@link FindTools.contentOf}. */
export type ContentOf = (
  vertex: Vertex,
  selectors: readonly ContentSelector[],
  dialect: Dialect,
) => Promise<Digest | undefined>

/**
 * Names a result of BuildKit's by the ChainID of the file system that it is: the same wherever it was found, and another one than
 * of a step that was run here.
 */
export function outputKeyOf(chain: ChainId): Digest {
  return digestKey('tsbuild.buildkit.v1', { chain })
}

/** Looks the steps of one build up in a cache of BuildKit's. */
export interface StepSearch {
  /**
   * Looks a whole graph up. A result counts where its layers are those of the base, as it is taken for this build, and one more.
   *
   * @param steps inputs before their readers
   */
  plan(steps: readonly PlannedStep[]): Promise<readonly FoundStep[]>
  /** Looks a step up whose key only came to be known while others ran; what it stands on was planned. */
  find(wanted: WantedRecord): Promise<FoundStep | undefined>
}

/** Begins to search a cache. */
export function searchSteps(config: CacheConfig, tools: FindTools): StepSearch {
  return new Search(config, tools)
}

/** What is known of a vertex. */
interface Looked {
  /** Records of BuildKit's that it may be, by their place. */
  readonly records: ReadonlySet<number>
  /** What it counts as in our keys. */
  readonly outputKey: Digest | undefined
  /** Its layers; undefined where they are not known to be those of a result of BuildKit's. */
  readonly layers: readonly DiffId[] | undefined
}

const nothing: Looked = { records: new Set(), outputKey: undefined, layers: undefined }

class Search implements StepSearch {
  readonly #config: CacheConfig
  readonly #tools: FindTools
  readonly #byDigest = new Map<Digest, number[]>()
  /** Of each layer, how many there are with those below it. */
  readonly #depths: readonly number[]
  readonly #looked = new Map<Digest, Looked>()
  readonly #chains = new WeakMap<readonly DiffId[], ChainId>()
  /** Records that are an image, by its key. */
  readonly #images = new Map<Digest, Set<number>>()

  constructor(config: CacheConfig, tools: FindTools) {
    this.#config = config
    this.#tools = tools
    this.#depths = depthsOf(config.layers)
    for (const [place, { digest }] of config.records.entries()) {
      const same = this.#byDigest.get(digest)
      if (same === undefined) this.#byDigest.set(digest, [place])
      else same.push(place)
    }
  }

  async plan(steps: readonly PlannedStep[]): Promise<readonly FoundStep[]> {
    for (const { vertex } of steps) this.#learnImages(vertex)
    const found: FoundStep[] = []
    for (const step of steps) {
      const one = await this.#look(step)
      if (one !== undefined) found.push(one)
    }
    return found
  }

  async find(wanted: WantedRecord): Promise<FoundStep | undefined> {
    const { vertex, inputs, key } = wanted
    const isTheirs = inputs.every((input, index) => {
      const digest = vertex.inputs[index]
      if (digest === undefined) return false
      // What is read of a context was compared with what BuildKit read; of a step, only the step itself is known.
      if (input.kind === 'result')
        return this.#looked.get(digest)?.outputKey === input.key && this.#isTheirs(digest)
      return (
        this.#isTheirs(digest) || (input.kind === 'content' && isContextMount(digest, this.#tools.vertexOf))
      )
    })
    if (!isTheirs) return undefined
    const records = await this.#recordsOf(vertex)
    const result = this.#resultOf(vertex, records)
    const diffId = result?.layers.at(-1)
    if (result === undefined || diffId === undefined) return undefined
    const outputKey = outputKeyOf(result.chain)
    this.#looked.set(vertex.digest, { records, outputKey, layers: result.layers })
    return { step: wanted, inputs, key, outputKey, layer: result.layer, diffId, createdAt: result.createdAt }
  }

  async #look(planned: PlannedStep): Promise<FoundStep | undefined> {
    const { vertex } = planned
    const records = await this.#recordsOf(vertex)
    const inputs = this.#inputsOf(planned)
    const key = inputs === undefined ? undefined : definitionKey(planned.op, inputs)
    if (planned.kind === 'view') {
      this.#looked.set(vertex.digest, { records, outputKey: key, layers: this.#layersOfAll(vertex) })
      return undefined
    }
    const result = this.#resultOf(vertex, records)
    const own = result === undefined ? undefined : outputKeyOf(result.chain)
    const known = key === undefined ? undefined : this.#tools.known(key)?.outputKey
    const isOurs = known !== undefined && known !== own
    this.#looked.set(vertex.digest, {
      records,
      outputKey: known ?? own,
      layers: isOurs ? undefined : result?.layers,
    })
    const diffId = result?.layers.at(-1)
    const isUpon = vertex.inputs.every((input) => this.#isTheirs(input))
    if (known !== undefined || key === undefined || inputs === undefined || !isUpon) return undefined
    if (result === undefined || own === undefined || diffId === undefined) return undefined
    const { layer, createdAt } = result
    return { step: planned, inputs, key, outputKey: own, layer, diffId, createdAt }
  }

  /** Whether what an input counts as is what BuildKit's step was made of: a source, or a result that is BuildKit's. */
  #isTheirs(input: Digest): boolean {
    const kind = this.#tools.vertexOf(input)?.op.kind
    if (kind === undefined) return false
    if (kind === 'exec' || kind === 'file' || kind === 'merge')
      return this.#looked.get(input)?.layers !== undefined
    return true
  }

  /** As the solver counts them. */
  #inputsOf({ inputs }: PlannedStep): readonly RecordedInput[] | undefined {
    const counted: RecordedInput[] = []
    for (const input of inputs) {
      if (input.kind !== 'step') {
        counted.push(input)
        continue
      }
      const key = this.#looked.get(input.vertex)?.outputKey
      if (key === undefined) return undefined
      counted.push({ kind: 'result', key, selector: input.selector })
    }
    return counted
  }

  async #recordsOf(vertex: Vertex): Promise<ReadonlySet<number>> {
    const found = new Set<number>()
    for (const dialect of dialects) {
      const step = keyedStep(vertex, this.#tools.vertexOf, dialect)
      if (step !== undefined) for (const place of await this.#matches(step, dialect)) found.add(place)
    }
    return found
  }

  async #matches(step: KeyedStep, dialect: Dialect): Promise<readonly number[]> {
    const found: number[] = []
    for (const place of this.#byDigest.get(step.digest) ?? []) {
      const record = this.#config.records[place]
      if (record !== undefined && (await this.#fits(record, step, dialect))) found.push(place)
    }
    return found
  }

  async #fits(record: BuildkitRecord, step: KeyedStep, dialect: Dialect): Promise<boolean> {
    if (record.inputs.length !== step.inputs.length) return false
    // The files of a context are read last, and only where all that is known without them fits.
    const byContent: [KeyedInput, BuildkitRecord['inputs'][number]][] = []
    for (const [index, input] of step.inputs.entries()) {
      const links = record.inputs[index] ?? []
      const places = await this.#placesOf(input.node, dialect)
      if (links.some((link) => link.selector === input.selector && places.has(link.record))) continue
      byContent.push([input, links])
    }
    for (const [input, links] of byContent) {
      const digest = await this.#contentOf(input, dialect)
      if (digest === undefined) return false
      const key = contentKey(digest)
      const isRead = links.some(
        ({ selector, record: place }) => selector === '' && this.#config.records[place]?.digest === key,
      )
      if (!isRead) return false
    }
    return true
  }

  async #placesOf(node: KeyedNode, dialect: Dialect): Promise<ReadonlySet<number>> {
    switch (node.kind) {
      case 'vertex':
        return this.#looked.get(node.vertex)?.records ?? nothing.records
      case 'root':
        return this.#imageRecords(node)
      case 'step':
        return new Set(await this.#matches(node.step, dialect))
    }
  }

  #imageRecords({ digest, manifest }: Extract<KeyedNode, { kind: 'root' }>): Set<number> {
    const known = this.#images.get(digest)
    if (known !== undefined) return known
    const keys = [digest, ...this.#tools.platforms.map((platform) => manifestKey(manifest, platform))]
    const places = keys.flatMap((key) => this.#byDigest.get(key) ?? []).filter((place) => this.#isRoot(place))
    const found = new Set(places)
    this.#images.set(digest, found)
    return found
  }

  /**
   * An image of several platforms counts by its index too, which is not known here. But where a step says that it was made upon the image by
   * its layers or upon another source, that source is the image.
   */
  #learnImages(vertex: Vertex): void {
    for (const dialect of dialects) {
      const step = keyedStep(vertex, this.#tools.vertexOf, dialect)
      for (const [index, { node, selector, content }] of step?.inputs.entries() ?? []) {
        if (node.kind !== 'root' || content !== undefined || step === undefined) continue
        const images = this.#imageRecords(node)
        for (const place of this.#byDigest.get(step.digest) ?? []) {
          const links = (this.#config.records[place]?.inputs[index] ?? []).filter(
            (link) => link.selector === selector,
          )
          if (!links.some(({ record }) => images.has(record))) continue
          for (const { record } of links) if (this.#isRoot(record)) images.add(record)
        }
      }
    }
  }

  #isRoot(place: number): boolean {
    return this.#config.records[place]?.inputs.length === 0
  }

  async #contentOf({ node, content }: KeyedInput, dialect: Dialect): Promise<Digest | undefined> {
    if (content === undefined || node.kind !== 'vertex') return undefined
    const vertex = this.#tools.vertexOf(node.vertex)
    return vertex === undefined ? undefined : await this.#tools.contentOf(vertex, content, dialect)
  }

  /** The newest result of a record that stands on the base of the step and puts one layer upon it. */
  #resultOf(vertex: Vertex, records: ReadonlySet<number>) {
    const base = this.#baseOf(vertex)
    if (base === undefined) return undefined
    const all = [...records].flatMap((place) => this.#resultsOf(place, base.length + 1))
    const fitting = all.flatMap(({ chain, createdAt }) => {
      const layer = chain.at(-1)
      const layers = chain.flatMap(({ diffId }) => diffId ?? [])
      const isUpon = layers.length === chain.length
      if (layer === undefined || !isUpon || !base.every((diffId, at) => layers[at] === diffId)) return []
      return [{ layer, layers, createdAt: createdAt ?? layer.createdAt ?? 0 }]
    })
    const [newest] = fitting.sort((a, b) => b.createdAt - a.createdAt)
    const diffId = newest?.layers.at(-1)
    if (newest === undefined || diffId === undefined) return undefined
    const chain = chainUpon(this.#chainOf(base), diffId)
    this.#chains.set(newest.layers, chain)
    return { ...newest, chain }
  }

  /** Those of so many layers: a cache can name a long chain for every few bytes of its own, and each once is enough. */
  #resultsOf(place: number, length: number) {
    const { layers, records } = this.#config
    const { results = [], chains: written = [] } = records[place] ?? {}
    const tops = new Map<number, number | undefined>()
    for (const { layer, createdAt } of results) {
      const known = tops.get(layer)
      if (this.#depths[layer] !== length) continue
      if (known === undefined || (createdAt ?? 0) > known) tops.set(layer, createdAt ?? known)
    }
    const chains = [
      ...[...tops].map(([layer, createdAt]) => ({ places: chainOf(layers, layer), createdAt })),
      ...written
        .filter((chain) => chain.layers.length === length)
        .map((chain) => ({ places: chain.layers, createdAt: chain.createdAt })),
    ]
    return chains.map(({ places, createdAt }) => ({
      chain: places.flatMap((at) => layers[at] ?? []),
      createdAt,
    }))
  }

  /** Of layers that were met before it is known: a chain of thousands is not hashed anew for each step. */
  #chainOf(layers: readonly DiffId[]): ChainId | undefined {
    const known = this.#chains.get(layers) ?? chainIdOf(layers)
    if (known !== undefined) this.#chains.set(layers, known)
    return known
  }

  /** The layers that a step stands on; undefined where they are not known to be BuildKit's. */
  #baseOf({ op, inputs }: Vertex): readonly DiffId[] | undefined {
    if (op.kind !== 'exec' && op.kind !== 'file') return undefined
    if (op.rootfs === undefined) return []
    const input = inputs[op.rootfs]
    return input === undefined ? undefined : this.#layersOf(input)
  }

  #layersOf(digest: Digest): readonly DiffId[] | undefined {
    const op = this.#tools.vertexOf(digest)?.op
    if (op?.kind === 'image') return op.layers.map(({ diffId }) => diffId)
    return this.#looked.get(digest)?.layers
  }

  #layersOfAll({ inputs }: Vertex): readonly DiffId[] | undefined {
    const all = inputs.map((input) => this.#layersOf(input))
    return all.includes(undefined) ? undefined : all.flatMap((layers) => layers ?? [])
  }
}
