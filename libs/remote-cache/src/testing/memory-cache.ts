import { Readable } from 'node:stream'
import type { StepResult } from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import { cachedLayerJson } from '@tsbuild/snapshot'
import { definitionKey, type RecordedInput, type WantedRecord } from '@tsbuild/solver'
import type { StoredLayer } from '@tsbuild/store'
import type {
  CacheExporter,
  CacheImporter,
  ExportedStep,
  ExportSummary,
  ExportTools,
  FinishedBuild,
  FoundRecord,
} from '../types.ts'

/** A cache that is nowhere but in this process: what every back end does, without a way to it. */
export interface MemoryCache {
  readonly name: string
  readonly results: Map<Digest, StepResult>
  readonly blobs: Map<Digest, Buffer>
  /** What it was asked: `plan`, `find`, `blob <digest> <offset>`, `sent <digest>`, in order. */
  readonly calls: string[]
  /** What goes wrong: called with each of {@link calls} before it is answered. */
  fault: (call: string) => Promise<void> | void
  importer(): CacheImporter
  exporter(tools: ExportTools): CacheExporter
}

/** Makes an empty one. */
export function createMemoryCache(name: string): MemoryCache {
  const cache: MemoryCache = {
    name,
    results: new Map(),
    blobs: new Map(),
    calls: [],
    fault: () => {},
    importer: () => importerOf(cache),
    exporter: (tools) => exporterOf(cache, tools),
  }
  return cache
}

async function called(cache: MemoryCache, call: string): Promise<void> {
  cache.calls.push(call)
  await cache.fault(call)
}

function importerOf(cache: MemoryCache): CacheImporter {
  const { name, results } = cache
  const found = (
    result: StepResult,
    { op, inputs, inputNames }: Pick<WantedRecord, 'op' | 'inputs' | 'inputNames'>,
  ): FoundRecord => {
    const { keys, outputKey, createdAt, durationMs, layer } = result
    const cached = cachedLayerJson({ kind: 'cached', blobs: layer, places: [name], createdAt })
    const made = { op, inputs, inputNames, stored: { cached }, createdAt, durationMs, from: name }
    return { keys, record: { outputKey, name: result.name, ...made } }
  }
  return {
    name,
    async plan(steps, known) {
      await called(cache, 'plan')
      const counted = new Map<Digest, Digest>()
      return steps.flatMap(({ vertex, kind, op, inputs, inputNames }) => {
        const counts = inputs.flatMap((input): RecordedInput[] => {
          if (input.kind !== 'step') return [input]
          const key = counted.get(input.vertex)
          return key === undefined ? [] : [{ kind: 'result', key, selector: input.selector }]
        })
        if (counts.length < inputs.length) return []
        const key = definitionKey(op, counts)
        const here = kind === 'view' ? { outputKey: key } : known(key)
        const result = here === undefined ? results.get(key) : undefined
        const outputKey = (here ?? result)?.outputKey
        if (outputKey !== undefined) counted.set(vertex.digest, outputKey)
        return result === undefined ? [] : [found(result, { op, inputs: counts, inputNames })]
      })
    },
    async find(wanted) {
      await called(cache, 'find')
      return wanted.flatMap((one) => {
        const result = results.get(one.key)
        return result === undefined ? [] : [found(result, one)]
      })
    },
    async openBlob(_, { digest }, offset) {
      await called(cache, `blob ${digest} ${offset}`)
      const bytes = cache.blobs.get(digest)
      return bytes === undefined ? undefined : Readable.from(chunksOf(bytes.subarray(offset)))
    },
    async close() {},
  }
}

/** In pieces: a layer is never there as a whole. */
function* chunksOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

function exporterOf(cache: MemoryCache, { blobOf, signal }: ExportTools): CacheExporter {
  const counts = { sentBlobs: 0, sentBytes: 0, skippedBlobs: 0 }
  const sending = new Map<ExportedStep, Promise<readonly StoredLayer[]>>()
  const send = async ({ layers, form, clamped, isThere }: ExportedStep): Promise<readonly StoredLayer[]> => {
    const own = layers.at(-1)
    if (own === undefined) return []
    if (isThere === true && own.kind === 'cached') return own.blobs
    const forms = clamped === undefined ? [form] : [form, clamped]
    return await Promise.all(
      forms.map(async (wanted) => {
        const { layer, open } = await blobOf(own, wanted, signal)
        if (cache.blobs.has(layer.digest)) counts.skippedBlobs++
        else {
          await called(cache, `sent ${layer.digest}`)
          const chunks = await open(0).toArray()
          cache.blobs.set(layer.digest, Buffer.concat(chunks))
          counts.sentBlobs++
          counts.sentBytes += layer.size
        }
        return layer
      }),
    )
  }
  const add = (step: ExportedStep) => {
    if (sending.has(step)) return
    const sent = send(step)
    sent.catch(() => {})
    sending.set(step, sent)
  }
  return {
    name: cache.name,
    add,
    async finish({ steps }: FinishedBuild): Promise<ExportSummary> {
      await called(cache, 'finish')
      for (const step of steps) {
        add(step)
        const layer = (await sending.get(step)) ?? []
        const { keys, record } = step
        const { outputKey, name, createdAt, durationMs } = record
        for (const key of keys)
          cache.results.set(key, { keys, outputKey, name, layer, createdAt, durationMs })
      }
      return { records: steps.length, ...counts }
    },
    async abort() {
      cache.calls.push('abort')
    },
  }
}
