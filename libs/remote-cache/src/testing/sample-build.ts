import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import { mediaTypes } from '@tsbuild/oci'
import type { LayerRef } from '@tsbuild/snapshot'
import { type CacheRecord, definitionKey, type PlannedStep } from '@tsbuild/solver'
import type { StoredLayer } from '@tsbuild/store'
import type { ExportableBlob, ExportedStep, ExportTools } from '../types.ts'

/** A chain of steps that a build ran, and what a cache is given of it. */
export interface SampleBuild {
  /** As a build looks for them. */
  readonly planned: readonly PlannedStep[]
  readonly steps: readonly ExportedStep[]
  readonly tools: ExportTools
  /** Bytes of each layer. */
  readonly blobs: ReadonlyMap<Digest, Buffer>
  /** What the exporter said. */
  readonly lines: readonly string[]
}

const form = { format: 'gzip', level: 6, clampMtime: null } as const

/**
 * Makes a chain: `['a', 'b=2']` are two steps, of which the second gave the result `2`. Without one a step gives what it is called.
 *
 * @param createdAt Unix ms of all of them
 */
export function sampleBuild(names: readonly string[], createdAt = 1_000, layerBytes = 200): SampleBuild {
  const planned: PlannedStep[] = []
  const steps: ExportedStep[] = []
  const blobs = new Map<Digest, Buffer>()
  const blobOf = new Map<LayerRef, StoredLayer>()
  const lines: string[] = []
  const layers: LayerRef[] = []
  let below: Digest | undefined
  for (const written of names) {
    const [name = '', result = name] = written.split('=')
    const op = { run: name }
    const own = {
      digest: digestBytes(`vertex ${name} ${below ?? ''}`),
      op: { kind: 'local', name },
      inputs: [],
      name: `[1/1] RUN ${name}`,
      source: null,
      ignoreCache: false,
    } as unknown as PlannedStep['vertex']
    const before = planned.at(-1)?.vertex.digest
    const inputs = below === undefined ? [] : [{ kind: 'result' as const, key: below }]
    planned.push({
      vertex: own,
      kind: 'step',
      op,
      inputs: before === undefined ? [] : [{ kind: 'step', vertex: before }],
      inputNames: [],
    })
    const key = definitionKey(op, inputs)
    const outputKey = digestBytes(`output ${key} ${result}`)
    const tar = Buffer.from(`${result} `.repeat(Math.ceil(layerBytes / (result.length + 1))))
    const bytes = gzipSync(tar)
    const layer: StoredLayer = {
      mediaType: mediaTypes.ociLayerGzip,
      digest: digestBytes(bytes),
      size: bytes.length,
      diffId: parseDiffId(digestBytes(tar)),
      form,
    }
    blobs.set(layer.digest, bytes)
    const ref: LayerRef = { kind: 'snapshot', id: `${planned.length}-${result}` as never, createdAt }
    blobOf.set(ref, layer)
    layers.push(ref)
    const record: CacheRecord = {
      outputKey,
      name: own.name,
      op,
      inputs,
      stored: null,
      createdAt,
      durationMs: 7,
    }
    steps.push({
      vertex: own.digest,
      keys: [key],
      record,
      layers: [...layers],
      inImage: true,
      form: undefined,
    })
    below = outputKey
  }
  const tools: ExportTools = {
    signal: new AbortController().signal,
    status: (line) => void lines.push(line),
    async blobOf(ref): Promise<ExportableBlob> {
      const layer = blobOf.get(ref)
      const bytes = layer === undefined ? undefined : blobs.get(layer.digest)
      if (layer === undefined || bytes === undefined) throw new Error('no such layer')
      return { layer, open: (offset) => Readable.from([bytes.subarray(offset)]), places: [] }
    },
  }
  return { planned, steps, tools, blobs, lines }
}
