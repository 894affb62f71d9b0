import { Readable } from 'node:stream'
import { digestBytes, parseDiffId } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import type { CachedLayerRef, LayerRef } from '@tsbuild/snapshot'
import { type CacheRecord, definitionKey, type PlannedStep, type RecordedInput } from '@tsbuild/solver'
import type { StoredLayer } from '@tsbuild/store'
import { describe, expect, it } from 'vitest'
import { cachedOf } from '../session/merge-found.ts'
import type { CacheExporter, CacheImporter, ExportableBlob, ExportedStep, ExportTools } from '../types.ts'

/** One cache, opened anew for each question as another machine would. */
export interface CacheUnderTest {
  importer(): Promise<CacheImporter>
  exporter(tools: ExportTools): Promise<CacheExporter>
  /** Takes a blob out of it, behind everybody's back. Undefined: it cannot be done. */
  lose?(blob: StoredLayer): Promise<void>
}

const signal = new AbortController().signal
const nothingKnown = () => undefined

/** A chain of steps upon an image, each with a layer of its own text. */
export interface Chain {
  readonly planned: readonly PlannedStep[]
  readonly steps: readonly ExportedStep[]
  readonly bytesOf: ReadonlyMap<string, Buffer>
}

/** Makes a chain. @param salt of another machine: it makes something else */
export function chainOf(names: readonly string[], salt = ''): Chain {
  const planned: PlannedStep[] = []
  const steps: ExportedStep[] = []
  const bytesOf = new Map<string, Buffer>()
  const layers: LayerRef[] = []
  let input: RecordedInput = { kind: 'source', key: { kind: 'image', manifest: digestBytes('image') } }
  for (const [index, name] of names.entries()) {
    const op = { kind: 'exec.v4', args: [name] }
    const vertex = digestBytes(`vertex ${name}`)
    const below = names[index - 1]
    planned.push({
      vertex: {
        digest: vertex,
        op: { kind: 'local', name },
        inputs: [],
        name,
        source: null,
        ignoreCache: false,
      },
      kind: 'step',
      op,
      inputs: [below === undefined ? input : { kind: 'step', vertex: digestBytes(`vertex ${below}`) }],
      inputNames: [below ?? 'FROM image'],
    })
    const bytes = Buffer.from(`layer of ${name} ${salt}`.repeat(5000))
    const blob = {
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest: digestBytes(bytes),
      size: bytes.length,
      diffId: parseDiffId(digestBytes(`tar of ${name} ${salt}`)),
      form: { format: 'gzip', level: 6, clampMtime: null },
    }
    bytesOf.set(blob.digest, bytes)
    const createdAt = 1_700_000_000_000 + index
    const layer: CachedLayerRef = { kind: 'cached', blobs: [blob], places: [], createdAt }
    layers.push(layer)
    const outputKey = digestBytes(`output of ${name} ${salt}`)
    const stored = { snapshot: '0'.repeat(32), createdAt }
    const record: CacheRecord = { outputKey, name, op, inputs: [input], stored, createdAt, durationMs: 5 }
    const keys = [definitionKey(op, [input])]
    steps.push({ vertex, keys, record, layers: [...layers], inImage: true, form: undefined })
    input = { kind: 'result', key: outputKey }
  }
  return { planned, steps, bytesOf }
}

/** Tools that give the blobs of a chain. */
export function toolsOf({ bytesOf }: Chain, opened: string[] = []): ExportTools {
  return {
    signal,
    status: () => {},
    async blobOf(layer): Promise<ExportableBlob> {
      if (layer.kind !== 'cached') throw new Error('the layers of these tests are of kind cached')
      const [blob] = layer.blobs
      const bytes = bytesOf.get(blob?.digest ?? '')
      if (blob === undefined || bytes === undefined) throw new Error('nobody has this layer')
      const open = (offset: number) => {
        opened.push(blob.digest)
        return Readable.from([bytes.subarray(offset)])
      }
      return { layer: blob, open, places: [] }
    },
  }
}

const graph = { vertices: [], targets: [] }

async function exportAll(cache: CacheUnderTest, chain: Chain, opened: string[] = []) {
  const exporter = await cache.exporter(toolsOf(chain, opened))
  for (const step of chain.steps) exporter.add(step)
  return await exporter.finish({ graph, steps: chain.steps })
}

/** Of a cache that nobody made yet the user is told. */
async function foundOrAbsent(importer: CacheImporter, planned: readonly PlannedStep[]) {
  try {
    return await importer.plan(planned, nothingKnown, signal)
  } catch (error) {
    if (isBuildError(error) && error.code === 'ERR_IMAGE_NOT_FOUND') return []
    throw error
  }
}

/**
 * What every pair of importer and exporter does.
 *
 * @param create makes an empty cache, of mode `max`
 */
export function describeCache(name: string, create: () => Promise<CacheUnderTest>): void {
  describe(`${name} as a cache`, { timeout: 60_000 }, () => {
    describeFinding(create)
    describeFilling(create)
  })
}

function describeFinding(create: () => Promise<CacheUnderTest>): void {
  it('knows nothing at first, or says that it is not there', async () => {
    const importer = await (await create()).importer()
    const { planned } = chainOf(['a', 'b'])
    expect(await foundOrAbsent(importer, planned)).toEqual([])
    await importer.close()
  })

  it('gives back what was exported, under its name, with all that a build needs of it', async () => {
    const cache = await create()
    const chain = chainOf(['a', 'b', 'c'])
    expect(await exportAll(cache, chain)).toMatchObject({ records: 3, sentBlobs: 3, skippedBlobs: 0 })
    const importer = await cache.importer()
    const found = await importer.plan(chain.planned, nothingKnown, signal)
    expect(found.map(({ record }) => record.name)).toEqual(['a', 'b', 'c'])
    for (const [index, { keys, record }] of found.entries()) {
      const step = chain.steps[index]
      expect(keys).toEqual(expect.arrayContaining([...(step?.keys ?? [])]))
      const { outputKey, createdAt, durationMs, op, inputs } = step?.record ?? {}
      expect(record).toMatchObject({ outputKey, createdAt, durationMs, op, inputs, from: importer.name })
      const layer = cachedOf(record)
      const own = step?.layers.at(-1)
      expect(layer?.blobs).toEqual(own?.kind === 'cached' ? own.blobs : [])
      expect(layer?.places).toEqual([importer.name])
    }
    await importer.close()
  })

  it('opens a blob from any offset', async () => {
    const cache = await create()
    const chain = chainOf(['a'])
    await exportAll(cache, chain)
    const importer = await cache.importer()
    const [layer] = chain.steps[0]?.layers ?? []
    if (layer?.kind !== 'cached' || layer.blobs[0] === undefined) throw new Error('there is no layer')
    const [blob] = layer.blobs
    const whole = chain.bytesOf.get(blob.digest) ?? Buffer.alloc(0)
    for (const offset of [0, 1, whole.length - 1]) {
      const stream = await importer.openBlob(layer, blob, offset, signal)
      expect(Buffer.concat((await stream?.toArray()) ?? []).equals(whole.subarray(offset)), `${offset}`).toBe(
        true,
      )
    }
    await importer.close()
  })

  it('finds a step by its key, and goes on over what others know', async () => {
    const cache = await create()
    const chain = chainOf(['a', 'b'])
    await exportAll(cache, chain)
    const importer = await cache.importer()
    const [, second] = chain.steps
    const planned = chain.planned[1]
    if (second === undefined || planned === undefined) throw new Error('the chain is too short')
    const [key] = second.keys
    if (key === undefined) throw new Error('a step has no key')
    const { op, inputs } = second.record
    const wanted = { key, vertex: planned.vertex, op, inputs, inputNames: ['a'] }
    const other = { ...wanted, key: digestBytes('nothing has this key') }
    const found = await importer.find([other, wanted], signal)
    expect(found.map(({ record }) => record.outputKey)).toEqual([second.record.outputKey])
    // Another machine made `a`, and the same: only `b` is new.
    const known = (asked: string) => (asked === chain.steps[0]?.keys[0] ? chain.steps[0]?.record : undefined)
    const plan = await importer.plan(chain.planned, known, signal)
    expect(plan.map(({ record }) => record.name)).toEqual(['b'])
    await importer.close()
  })
}

function describeFilling(create: () => Promise<CacheUnderTest>): void {
  it('is sent no blob a second time, and keeps what others exported', async () => {
    const cache = await create()
    await exportAll(cache, chainOf(['a', 'b']))
    const opened: string[] = []
    const more = chainOf(['a', 'b', 'c'])
    expect(await exportAll(cache, more, opened)).toMatchObject({ sentBlobs: 1 })
    expect(new Set(opened).size).toBe(1)
    await exportAll(cache, chainOf(['x'], 'another branch'))
    const importer = await cache.importer()
    expect(await importer.plan(more.planned, nothingKnown, signal)).toHaveLength(3)
    await importer.close()
  })

  it('makes nothing found of an export that is given up', async () => {
    const cache = await create()
    const chain = chainOf(['a'])
    const exporter = await cache.exporter(toolsOf(chain))
    for (const step of chain.steps) exporter.add(step)
    await exporter.abort()
    const importer = await cache.importer()
    expect(await foundOrAbsent(importer, chain.planned)).toEqual([])
    await importer.close()
  })

  it('says of a blob that is not there that it is not', async () => {
    const cache = await create()
    const chain = chainOf(['a'])
    await exportAll(cache, chain)
    const [layer] = chain.steps[0]?.layers ?? []
    if (layer?.kind !== 'cached' || layer.blobs[0] === undefined) throw new Error('there is no layer')
    const [blob] = layer.blobs
    const absent = { ...blob, digest: digestBytes('never sent') }
    const importer = await cache.importer()
    expect(await importer.openBlob(layer, absent, 0, signal)).toBeUndefined()
    await cache.lose?.(blob)
    if (cache.lose !== undefined) expect(await importer.openBlob(layer, blob, 0, signal)).toBeUndefined()
    await importer.close()
  })
}
