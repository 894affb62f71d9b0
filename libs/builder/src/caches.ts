import { encodeRecord } from '@tsbuild/cache'
import type { Digest, KeyValue } from '@tsbuild/digest'
import type { ConfigMembers } from '@tsbuild/exporter'
import type { MergedGraph, Vertex } from '@tsbuild/graph'
import type { LayerForm } from '@tsbuild/native'
import type { OpResult } from '@tsbuild/ops'
import {
  type BuildkitFacts,
  type CacheImporter,
  type CacheOpeners,
  type CacheSource,
  type Caches,
  type CacheTarget,
  cacheName,
  cacheOpeners,
  createServerAnswers,
  type Exports,
  type ExportTarget,
  inlineCacheMembers,
  keysOf,
  type OpenTools,
  openCaches,
  openExports,
  refuseTokenInClear,
  type ServerAnswers,
  type SolvedLayer,
} from '@tsbuild/remote-cache'
import type { BlobRef, CachedLayerRef, LayerRef, Snapshotter } from '@tsbuild/snapshot'
import type { CacheRecord, CacheStore, SolvedStep } from '@tsbuild/solver'
import type { InternalVertices } from './internal-vertex.ts'
import { hasBlob, type LayersElsewhere } from './layers-elsewhere.ts'
import type { BuildRun } from './run-build.ts'
import { stackedUpon } from './wanted-layers.ts'

/** The caches elsewhere of one build: those that it reads and those that it fills. */
export interface BuildCaches extends LayersElsewhere {
  /** Tells what is built, before anything is looked up. */
  describe(facts: BuildkitFacts): void
  /** The records of the store, and what the caches have besides. */
  over(local: CacheStore, isHere: (stored: KeyValue) => boolean): CacheStore
  /** Begins to fill caches. Called once; what was begun before a solution failed goes on. */
  export(options: ExportOptions): BuildExports
  /** What is to be said of a step that no cache has. */
  readonly nothingFound: () => string | undefined
  /** Nothing that was found counts from now on. */
  refuseAll(): void
  close(): Promise<void>
}

/** What an export needs of a build. */
export interface ExportOptions {
  readonly snapshotter: Snapshotter
  readonly graph: MergedGraph
  /** The form in which the outputs want the layer of a vertex. */
  readonly layerOf: (vertex: Vertex) => LayerForm | undefined
  readonly fetch: (layer: BlobRef, signal: AbortSignal) => Promise<void>
}

/** Caches that are being filled, and the records that a build took over from others. */
export interface BuildExports {
  onStep(step: SolvedStep<OpResult>): void
  /** @param steps as of {@link Solution.steps} */
  finish(steps: () => Promise<readonly SolvedStep<OpResult>[]>): Promise<void>
  /** The cache within the images, where the build wants one. @param steps as of {@link Solution.steps} */
  inline(steps: () => Promise<readonly SolvedStep<OpResult>[]>): ConfigMembers | undefined
  /**
   * Makes what caches had of this build's steps this store's own, also of those whose results nobody needed: the keys of others are
   * made of theirs. Best effort.
   */
  keepFound(steps: readonly SolvedStep<OpResult>[], local: CacheStore): Promise<void>
  abort(): Promise<void>
}

interface CachesContext {
  readonly run: BuildRun
  readonly internal: InternalVertices
  readonly facts: () => BuildkitFacts | undefined
  readonly servers: ServerAnswers
}

/**
 * Opens the caches of a build. Nothing is asked before something is looked up.
 *
 * @throws {UserError} `ERR_CACHE_SERVER_URL` where a token would be sent in clear: no fault of a cache that a build goes on without
 */
export function openBuildCaches(given: Omit<CachesContext, 'facts' | 'servers'>): BuildCaches {
  const { run, internal } = given
  let facts: BuildkitFacts | undefined
  const context = { ...given, facts: () => facts, servers: createServerAnswers() }
  const { machine, options } = run
  for (const cache of [...(options.cacheFrom ?? []), ...(options.cacheTo ?? [])])
    if (cache.type === 'server') refuseTokenInClear(cache, machine.network.insecureHosts ?? [])
  const warn = (message: string) => internal.warn({ rule: 'RemoteCache', message, source: null })
  const required = options.cacheRequired ?? false
  const caches = openCaches({
    importers: (options.cacheFrom ?? []).map((source) => importerOf(context, source)),
    store: machine.store,
    now: machine.now,
    warn,
    required,
  })
  let exports: BuildExports | undefined
  return {
    describe(known) {
      facts = known
    },
    cached: caches.layers,
    has: (layer) => caches.has(layer) || hasStored(context, caches, layer),
    over: (local, isHere) => ((options.cacheFrom ?? []).length === 0 ? local : caches.over(local, isHere)),
    export(exporting) {
      exports ??= startExports(context, exporting, { warn, required })
      return exports
    },
    nothingFound: caches.nothingFound,
    refuseAll: () => caches.refuseAll(),
    close: () => caches.close(),
  }
}

function hasStored({ run }: CachesContext, caches: Caches, layer: CachedLayerRef): boolean {
  return !caches.isRefused(layer) && hasBlob(run.machine.store, layer)
}

function openersOf({ run }: CachesContext): CacheOpeners {
  return run.machine.options.cacheOpeners ?? cacheOpeners
}

function toolsOf({ run, internal, facts, servers }: CachesContext, tell?: (line: string) => void): OpenTools {
  const { store, registry, now, network, options } = run.machine
  const warn = (message: string) => internal.warn({ rule: 'RemoteCache', message, source: null })
  const builder = `tsbuild/${options.version ?? 'unknown'}`
  const knownServers = options.knownCacheServers
  const required = run.options.cacheRequired
  return {
    store,
    registry,
    now,
    builder,
    buildkit: facts,
    network,
    knownServers,
    servers,
    required,
    tell,
    warn,
  }
}

/** Opened at the first question: whoever cannot open it is treated like one that does not answer. */
function importerOf(context: CachesContext, source: CacheSource): CacheImporter {
  let opening: Promise<CacheImporter> | undefined
  let opened: CacheImporter | undefined
  let status = (_line: string): void => {}
  const open = async () => {
    opening ??= openersOf(context).importer(
      source,
      toolsOf(context, (line) => status(line)),
    )
    opened = await opening
    return opened
  }
  let isShown = false
  const given = cacheName(source)
  return {
    get name() {
      return opened?.name ?? given
    },
    async plan(steps, known, signal) {
      const plan = async () => (await open()).plan(steps, known, signal)
      if (isShown) return await plan()
      isShown = true
      const shown = (said: typeof status) => {
        status = said
      }
      const isWanted = () => [...keysOf(steps, known)].some((key) => known(key) === undefined)
      return await showImport(context, given, { plan, isWanted, shown }, signal)
    },
    find: async (wanted, signal) => (await open()).find(wanted, signal),
    openBlob: async (layer, blob, offset, signal) => (await open()).openBlob(layer, blob, offset, signal),
    close: async () => await opened?.close(),
  }
}

/** Of a cache that fails nothing more is shown than that it did: the build goes on. */
async function showImport<T extends readonly unknown[]>(
  { run, internal }: CachesContext,
  name: string,
  {
    plan,
    isWanted,
    shown,
  }: {
    readonly plan: () => Promise<T>
    /** Whether anything is left to look for. */
    readonly isWanted: () => boolean
    readonly shown: (status: (id: string) => void) => void
  },
  signal: AbortSignal,
): Promise<T> {
  const outcome = await internal.run(`importing cache from ${name}`, async (vertex) => {
    const status = (id: string) =>
      run.events({
        type: 'vertex.status',
        vertex,
        id,
        currentBytes: 0,
        totalBytes: null,
        done: true,
        at: run.machine.now(),
      })
    shown(status)
    try {
      const found = await Promise.race([plan(), whenAborted(signal)])
      status(foundText(found.length, isWanted()))
      return { found }
    } catch (error) {
      status('not available')
      return { error }
    }
  })
  if ('found' in outcome) return outcome.found
  throw outcome.error
}

/** A cache that had nothing to give is not one that was not asked. */
function foundText(found: number, isWanted: boolean): string {
  if (found === 0 && !isWanted) return 'nothing to look for'
  return `${found} ${found === 1 ? 'step' : 'steps'} found`
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

function startExports(
  context: CachesContext,
  exporting: ExportOptions,
  guarded: { readonly warn: (message: string) => void; readonly required: boolean },
): BuildExports {
  const { run, internal } = context
  const { store, now } = run.machine
  const { snapshotter, graph } = exporting
  const exports: Exports = openExports({
    ...guarded,
    store,
    snapshotter,
    fetch: exporting.fetch,
    now,
    signal: run.signal,
    // One within an image is written with the image.
    targets: (run.options.cacheTo ?? [])
      .filter(({ type }) => type !== 'inline')
      .map((target) => exportTargetOf(context, target)),
    show: (name, body) =>
      internal.run(name, (vertex) =>
        body((id) =>
          run.events({
            type: 'vertex.status',
            vertex,
            id,
            currentBytes: 0,
            totalBytes: null,
            done: true,
            at: now(),
          }),
        ),
      ),
  })
  const inImage = verticesInImages(graph)
  const exportable = (step: SolvedStep<OpResult>) => exportableOf(step, inImage, exporting.layerOf)
  let finished: Promise<void> | undefined
  return {
    onStep(step) {
      for (const one of exportable(step)) exports.add(one)
    },
    finish(steps) {
      finished ??= exports.finish(graph, async () => (await steps()).flatMap(exportable))
      return finished
    },
    inline(steps) {
      if (!(run.options.cacheTo ?? []).some(({ type }) => type === 'inline')) return undefined
      return async (layers) =>
        await inlineCacheMembers({ graph, steps: (await steps()).flatMap(exportable) }, layers, context.facts)
    },
    async keepFound(steps, local) {
      const found = steps
        .filter(({ record }) => record.from !== undefined)
        .map((step) => ({ keys: step.keys, record: keptRecord(step, snapshotter) }))
      if (found.length === 0) return
      const writes = found.map(({ keys, record }) => ({ keys, text: encodeRecord(record) }))
      await store.records.put(writes).catch(() => {})
      for (const { keys, record } of found) local.recorded?.(keys, record)
    },
    abort: () => exports.abort(),
  }
}

function exportTargetOf(context: CachesContext, target: CacheTarget): ExportTarget {
  return {
    name: cacheName(target),
    mode: target.mode ?? (target.type === 'server' ? 'max' : 'min'),
    ignoreError: target.ignoreError ?? false,
    open: (using) => {
      const tools = toolsOf(context)
      const required = tools.required === true && target.ignoreError !== true
      return openersOf(context).exporter(target, { ...tools, required }, using)
    },
  }
}

/** The vertices whose layers are in the images of a build. */
function verticesInImages({ vertices, targets }: MergedGraph): ReadonlySet<Digest> {
  const known = new Map(vertices.map((vertex) => [vertex.digest, vertex]))
  const pending = targets.filter((target) => target !== undefined)
  const inImages = new Set<Digest>()
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const vertex = inImages.has(next) ? undefined : known.get(next)
    if (vertex === undefined) continue
    inImages.add(next)
    pending.push(...stackedUpon(vertex))
  }
  return inImages
}

/** None for a step whose result is no layer. */
function exportableOf(
  { vertex, keys, record, result }: SolvedStep<OpResult>,
  inImages: ReadonlySet<Digest>,
  layerOf: (vertex: Vertex) => LayerForm | undefined,
): readonly SolvedLayer[] {
  const layers = result.kind === 'filesystem' ? result.filesystem.layers : []
  const own = layers.at(-1)
  if (own === undefined || own.kind === 'image') return []
  // The time of the layer is in the images that are made of it; that of the record is a little later.
  const exported = { ...record, createdAt: own.createdAt }
  const inImage = inImages.has(vertex.digest)
  return [{ vertex: vertex.digest, keys, record: exported, layers, inImage, ...formsOf(layerOf(vertex)) }]
}

/** A tar with other times, or with a table of contents in it, is not what the step left: it goes beside one that is. */
function formsOf(wanted: LayerForm | undefined): Pick<SolvedLayer, 'form' | 'clamped'> {
  if (wanted === undefined) return { form: undefined }
  const { compression, clampMtime } = wanted
  if (compression.format === 'estargz')
    return { form: { compression: { format: 'gzip', level: 6 }, clampMtime: null }, clamped: wanted }
  if (clampMtime === null) return { form: wanted }
  return { form: { compression, clampMtime: null }, clamped: wanted }
}

/** What was unpacked here is this store's own. */
function keptRecord({ record, result }: SolvedStep<OpResult>, snapshotter: Snapshotter): CacheRecord {
  const { from: _, ...kept } = record
  const layer: LayerRef | undefined =
    result.kind === 'filesystem' ? result.filesystem.layers.at(-1) : undefined
  if (layer?.kind !== 'cached') return kept
  const snapshot = snapshotter.unpackedAs(layer)
  return snapshot === undefined ? kept : { ...kept, stored: { snapshot, createdAt: layer.createdAt } }
}
