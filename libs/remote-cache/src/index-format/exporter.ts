import { setMaxListeners } from 'node:events'
import type { CacheConfig, CacheManifestForm } from '@tsbuild/buildkit-cache'
import type { Compression, LayerForm } from '@tsbuild/native'
import type { LayerRef } from '@tsbuild/snapshot'
import type { StoredLayer } from '@tsbuild/store'
import pLimit from 'p-limit'
import type {
  CacheExporter,
  CacheLayerOptions,
  CacheTargetCommon,
  ExportableBlob,
  ExportedStep,
  ExportSummary,
  ExportTools,
  FinishedBuild,
} from '../types.ts'
import type { CachePlace, PutOutcome } from './cache-place.ts'
import { additionOf } from './change.ts'
import { type CacheIndex, emptyIndex, type IndexedStep } from './types.ts'

/** Blobs that are sent at a time, beside steps that run. */
const atATime = 3

const usualCompression: Compression = { format: 'gzip', level: 6 }

/** Says what BuildKit would look the steps of a build up by. */
export type BuildkitPart = (build: FinishedBuild, blobOf: BlobOfLayer) => Promise<CacheConfig>

/** The blob of a layer in the cache; sent, if it is not there yet. */
export type BlobOfLayer = (layer: LayerRef) => Promise<StoredLayer>

/** What {@link createIndexExporter} works with. */
export interface IndexExporterOptions {
  readonly place: CachePlace
  readonly target: CacheTargetCommon & CacheLayerOptions
  readonly tools: ExportTools
  readonly buildkitPart: BuildkitPart
  /** Unix ms. */
  readonly now: () => number
}

/**
 * Exports steps to a cache that has one index: the layers while other steps run, the index at the end. The index is written where it
 * says something new only.
 */
export function createIndexExporter(options: IndexExporterOptions): CacheExporter {
  return new IndexExporter(options)
}

class IndexExporter implements CacheExporter {
  readonly #options: IndexExporterOptions
  readonly #gone = new AbortController()
  readonly #signal: AbortSignal
  readonly #limit = pLimit(atATime)
  readonly #layers = new Map<string, Promise<StoredLayer>>()
  readonly #steps = new Map<ExportedStep, Promise<readonly StoredLayer[]>>()
  readonly #counts = { sentBlobs: 0, sentBytes: 0, skippedBlobs: 0 }

  constructor(options: IndexExporterOptions) {
    this.#options = options
    this.#signal = AbortSignal.any([options.tools.signal, this.#gone.signal])
    // Every blob under way listens to it.
    setMaxListeners(0, this.#signal)
  }

  get name(): string {
    return this.#options.place.name
  }

  add(step: ExportedStep): void {
    if (!this.#isWanted(step) || this.#steps.has(step)) return
    const blobs = this.#blobsOf(step)
    // Waited for in `finish`.
    blobs.catch(() => this.#gone.abort())
    this.#steps.set(step, blobs)
  }

  async finish(build: FinishedBuild): Promise<ExportSummary> {
    const { place, tools, target, buildkitPart, now } = this.#options
    const wanted = build.steps.filter((step) => this.#isWanted(step))
    for (const step of wanted) this.add(step)
    if (wanted.length === 0) {
      tools.status(`skipping cache export to ${place.name}: there is no step to export`)
      return { records: 0, ...this.#counts }
    }
    const time = now()
    const steps = await this.#settled(wanted, time)
    const buildkit = await buildkitPart({ ...build, steps: wanted }, (layer) =>
      this.#send(layer, this.#formOf(layer, undefined)),
    )
    const added: CacheIndex = { ...emptyIndex, buildkit, steps }
    const { written, dropped } = await place.update(additionOf(added, formOf(target), time), this.#signal)
    if (dropped > 0)
      tools.status(`dropped ${dropped} steps of former builds from ${place.name}: they had no place`)
    tools.status(
      written === undefined
        ? `${place.name} has everything already`
        : `writing cache manifest ${written.digest} to ${place.name}`,
    )
    return { records: steps.length, ...this.#counts }
  }

  async abort(): Promise<void> {
    this.#gone.abort()
    this.#limit.clearQueue()
    await Promise.allSettled(this.#layers.values())
  }

  #isWanted({ inImage, layers }: ExportedStep): boolean {
    return layers.length > 0 && (inImage || this.#options.target.mode === 'max')
  }

  /** The first failure is the one that is thrown: the others were given up for it. */
  async #settled(steps: readonly ExportedStep[], usedAt: number): Promise<readonly IndexedStep[]> {
    const indexed: IndexedStep[] = []
    const outcomes = await Promise.allSettled(steps.map((step) => this.#steps.get(step)))
    const failures = outcomes.filter((outcome) => outcome.status === 'rejected')
    const cause = failures.find(({ reason }) => !isAbort(reason)) ?? failures[0]
    if (cause !== undefined) throw cause.reason
    for (const [index, { keys, record }] of steps.entries()) {
      const outcome = outcomes[index]
      if (outcome?.status !== 'fulfilled' || outcome.value === undefined) continue
      const { outputKey, name, createdAt, durationMs } = record
      indexed.push({ keys, outputKey, name, layer: outcome.value, createdAt, durationMs, usedAt })
    }
    return indexed
  }

  /** Of a step that was found in this very cache nothing is to be sent: the cache names its blobs, and still will. */
  async #blobsOf(step: ExportedStep): Promise<readonly StoredLayer[]> {
    const own = step.layers.at(-1)
    if (own === undefined) return []
    if (step.isThere === true && own.kind === 'cached') return own.blobs
    const forms = [this.#formOf(own, step.form), ...(step.clamped === undefined ? [] : [step.clamped])]
    const blobs = await Promise.all(forms.map((form) => this.#send(own, form)))
    return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()]
  }

  /** @returns undefined for whatever form there is: layers of base images, and of other caches, stay as they are */
  #formOf(layer: LayerRef, written: LayerForm | undefined): LayerForm | undefined {
    const { compression, forceCompression = false } = this.#options.target
    if (forceCompression) return { compression: compression ?? usualCompression, clampMtime: null }
    if (written !== undefined || layer.kind !== 'snapshot') return written
    return { compression: compression ?? usualCompression, clampMtime: null }
  }

  #send(layer: LayerRef, form: LayerForm | undefined): Promise<StoredLayer> {
    const name = `${nameOf(layer)} ${JSON.stringify(form)}`
    const sending = this.#layers.get(name) ?? this.#limit(() => this.#put(layer, form))
    this.#layers.set(name, sending)
    return sending
  }

  async #put(layer: LayerRef, form: LayerForm | undefined): Promise<StoredLayer> {
    const { place, tools } = this.#options
    this.#signal.throwIfAborted()
    const blob = await tools.blobOf(layer, form, this.#signal)
    this.#count(await place.put(blob, this.#signal), blob)
    return blob.layer
  }

  #count(outcome: PutOutcome, { layer: { size } }: ExportableBlob): void {
    if (outcome === 'sent') {
      this.#counts.sentBlobs++
      this.#counts.sentBytes += size
    } else this.#counts.skippedBlobs++
  }
}

function isAbort(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.name === 'AbortError' || ('code' in error && error.code === 'ERR_CANCELLED'))
  )
}

function nameOf(layer: LayerRef): string {
  switch (layer.kind) {
    case 'snapshot':
      return `snapshot ${layer.id}`
    case 'image':
      return layer.digest
    case 'cached':
      return layer.blobs.map(({ digest }) => digest).join()
  }
}

/** BuildKit's old form is the only one that has Docker's types. */
function formOf({ imageManifest, ociMediaTypes = true }: CacheLayerOptions): CacheManifestForm {
  return { imageManifest: imageManifest ?? ociMediaTypes, ociMediaTypes }
}
