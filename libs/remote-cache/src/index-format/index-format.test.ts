import { writeCacheConfig } from '@tsbuild/buildkit-cache'
import { digestBytes } from '@tsbuild/digest'
import { mediaTypes } from '@tsbuild/oci'
import { describe, expect, it } from 'vitest'
import { sampleBuild } from '../testing/sample-build.ts'
import { parseCacheIndex, writeCacheIndex } from './cache-index.ts'
import { addToCache } from './fit.ts'
import { mergeIndexes } from './merge.ts'
import { lookupOf, planOver } from './plan.ts'
import { type CacheIndex, emptyIndex, type IndexedStep } from './types.ts'

const form = { imageManifest: true, ociMediaTypes: true }
const day = 24 * 60 * 60 * 1000

async function indexOf(names: readonly string[], usedAt: number, createdAt = usedAt): Promise<CacheIndex> {
  const { steps, tools } = sampleBuild(names, createdAt)
  const indexed = steps.map(async ({ keys, record, layers }): Promise<IndexedStep> => {
    const { outputKey, name, durationMs } = record
    const own = layers.at(-1)
    if (own === undefined) throw new Error('a step without a layer')
    const { layer } = await tools.blobOf(own, undefined, tools.signal)
    return { keys, outputKey, name, layer: [layer], createdAt, durationMs, usedAt }
  })
  return { ...emptyIndex, steps: await Promise.all(indexed) }
}

const readBack = (index: CacheIndex) => {
  const { config, layers } = writeCacheIndex(index, form)
  return parseCacheIndex(config.bytes, layers)
}

const byKey = (index: CacheIndex) =>
  index.steps.toSorted((a, b) => ((a.keys[0] ?? '') < (b.keys[0] ?? '') ? -1 : 1))

/** A cache as BuildKit has it: one record with one layer. */
function buildkitIndex(name: string, result = name, createdAt = 5): CacheIndex {
  const blob = digestBytes(result)
  const annotations = { 'containerd.io/uncompressed': digestBytes(`${result} tar`) }
  const descriptor = { mediaType: mediaTypes.ociLayerGzip, digest: blob, size: 5, annotations }
  const layer = { blob, parent: -1, descriptor, diffId: undefined, createdAt: undefined }
  const record = {
    digest: digestBytes(`${name} key`),
    inputs: [],
    results: [{ layer: 0, createdAt }],
    chains: [],
  }
  return { ...emptyIndex, buildkit: { layers: [layer], records: [record] } }
}

describe('parseCacheIndex()', () => {
  it('gives back what writeCacheIndex() wrote, in both forms of a manifest', async () => {
    const index = await indexOf(['a', 'b'], 5_000)
    expect(byKey(readBack(index))).toEqual(byKey(index))
    const old = writeCacheIndex(index, { imageManifest: false, ociMediaTypes: false })
    expect(old.manifest.descriptor.mediaType).toBe(mediaTypes.dockerManifestList)
    expect(byKey(parseCacheIndex(old.config.bytes, old.layers))).toEqual(byKey(index))
  })

  it('writes the same bytes whatever the order of the steps is', async () => {
    const index = await indexOf(['a', 'b', 'c'], 5_000)
    const turned = { ...index, steps: index.steps.toReversed() }
    expect(writeCacheIndex(turned, form).manifest).toEqual(writeCacheIndex(index, form).manifest)
  })

  it('keeps records of BuildKit, and members of later versions', async () => {
    const ours = await indexOf(['a'], 5_000)
    const theirs = buildkitIndex('x')
    const { bytes, layers } = writeCacheConfig(theirs.buildkit, { 'tsbuild.v9': { new: true } })
    const both = readBack(mergeIndexes(parseCacheIndex(bytes, layers), ours))
    expect(both.buildkit.records).toEqual(theirs.buildkit.records)
    expect(both.others).toEqual({ 'tsbuild.v9': { new: true } })
    expect(both.steps).toHaveLength(1)
  })

  it('leaves out a step whose layer the manifest does not describe', async () => {
    const { config, layers } = writeCacheIndex(await indexOf(['a', 'b'], 5_000), form)
    expect(parseCacheIndex(config.bytes, layers.slice(1)).steps).toHaveLength(1)
    const bare = layers.map(({ annotations: _, ...layer }) => layer)
    expect(parseCacheIndex(config.bytes, bare).steps).toEqual([])
  })

  const step = {
    keys: ['a'.repeat(64)],
    output: 'a'.repeat(64),
    name: 'x',
    layer: [],
    made: 1,
    took: 1,
    used: 1,
  }
  it.each([
    ['no JSON', 'x'],
    ['a list', '[]'],
    ['a member that is a text', '{"tsbuild.v1":"x"}'],
    ['no forms', '{"tsbuild.v1":{"steps":[]}}'],
    [
      'a key that is no digest',
      JSON.stringify({ 'tsbuild.v1': { forms: [], steps: [{ ...step, keys: ['../x'] }] } }),
    ],
    ['no key', JSON.stringify({ 'tsbuild.v1': { forms: [], steps: [{ ...step, keys: [] }] } })],
    [
      'too many keys',
      JSON.stringify({
        'tsbuild.v1': { forms: [], steps: [{ ...step, keys: Array(99).fill(step.keys[0]) }] },
      }),
    ],
    ['a negative time', JSON.stringify({ 'tsbuild.v1': { forms: [], steps: [{ ...step, made: -1 }] } })],
    [
      'a time that no date has',
      JSON.stringify({ 'tsbuild.v1': { forms: [], steps: [{ ...step, made: Number.MAX_SAFE_INTEGER }] } }),
    ],
    ['a time that is infinite', '{"tsbuild.v1":{"forms":[],"steps":[{"made":1e999}]}}'],
    ['a member twice', '{"tsbuild.v1":{"forms":[],"steps":[]},"tsbuild.v1":{}}'],
    ['records in a circle', `{"records":[{"digest":"sha256:${'a'.repeat(64)}","inputs":[[{"link":0}]]}]}`],
    ['more than 4 MiB', `{"x":"${'x'.repeat(4 * 1024 * 1024)}"}`],
  ])('refuses %s', (_, text) => {
    expect(() => parseCacheIndex(Buffer.from(text), [])).toThrow(
      expect.objectContaining({ code: 'ERR_MANIFEST_INVALID' }),
    )
  })
})

describe('mergeIndexes()', () => {
  it('loses nothing of either, and has what both have once', async () => {
    const one = await indexOf(['a', 'b'], 5_000)
    const other = await indexOf(['a', 'c'], 6_000)
    const merged = mergeIndexes(
      mergeIndexes(one, buildkitIndex('x')),
      mergeIndexes(other, buildkitIndex('y')),
    )
    expect(merged.steps).toHaveLength(3)
    expect(readBack(merged).buildkit.records).toHaveLength(2)
  })

  it('keeps the older time of a step, and the newer use to a day', async () => {
    const one = await indexOf(['a'], 5_000)
    const soon = mergeIndexes(one, await indexOf(['a'], 6_000))
    expect(soon.steps[0]).toMatchObject({ createdAt: 5_000, usedAt: 5_000 })
    const later = mergeIndexes(one, await indexOf(['a'], 5_000 + day))
    expect(later.steps[0]).toMatchObject({ createdAt: 5_000, usedAt: 5_000 + day })
  })

  it('keeps the three newest results of a key', async () => {
    let merged = emptyIndex
    for (const result of [1, 2, 3, 4, 5])
      merged = mergeIndexes(merged, await indexOf([`a=${result}`], result * 1_000))
    expect(merged.steps.map(({ createdAt }) => createdAt).sort()).toEqual([3_000, 4_000, 5_000])
  })
})

describe('addToCache()', () => {
  it.each([
    ['at different times', [1, 2, 3]],
    ['at one time', [5, 5, 5]],
  ])(
    'comes to rest where builds that made different things of one step %s add theirs in turn',
    (_, times) => {
      const builds = times.map((createdAt, place) => buildkitIndex('shared', `result ${place}`, createdAt))
      const add = (known: CacheIndex, added: CacheIndex) => {
        const { documents } = addToCache(known, added, form, day)
        const { config, layers, manifest } = documents
        return { digest: manifest.descriptor.digest, index: parseCacheIndex(config.bytes, layers) }
      }
      const once = builds.reduce((known, build) => add(known, build).index, emptyIndex)
      const again = builds.map((build) => add(once, build).digest)
      expect(new Set(again).size).toBe(1)
      expect(add(once, emptyIndex).digest).toBe(again[0])
    },
  )

  it('drops steps that nobody used for 30 days', async () => {
    const known = mergeIndexes(await indexOf(['a'], day), await indexOf(['b'], 20 * day))
    const { index } = addToCache(known, await indexOf(['c'], 32 * day), form, 32 * day)
    expect(index.steps.map(({ name }) => name).sort()).toEqual(['[1/1] RUN b', '[1/1] RUN c'])
  })

  it('stays below what BuildKit reads: those that were used the longest time ago go, and none of the build', async () => {
    const many = (from: number, count: number) =>
      Array.from({ length: count }, (_, place) => `s${from + place}`)
    const known = mergeIndexes(
      await indexOf(many(0, 3_000), 1_000),
      await indexOf(many(5_000, 600), 1_000 + day),
    )
    const added = await indexOf(many(10_000, 300), 1_000 + 2 * day)
    const { index, documents, dropped } = addToCache(known, added, form, 1_000 + 2 * day)
    expect(documents.config.bytes.byteLength).toBeLessThanOrEqual(1024 * 1024)
    expect(documents.manifest.bytes.byteLength).toBeLessThanOrEqual(1024 * 1024)
    expect(dropped).toBeGreaterThan(0)
    expect(index.steps).toHaveLength(3_900 - dropped)
    const ages = new Map<number, number>()
    for (const { usedAt } of index.steps) ages.set(usedAt, (ages.get(usedAt) ?? 0) + 1)
    expect(ages.get(1_000 + 2 * day)).toBe(300)
    expect(ages.get(1_000 + day)).toBe(600)
  })

  it('gives a build that is too large for BuildKit up to 4 MiB', async () => {
    const names = Array.from({ length: 4_000 }, (_, place) => `s${place}`)
    const added = mergeIndexes(await indexOf(names, 1_000), buildkitIndex('x'))
    const { index, documents, dropped } = addToCache(await indexOf(['old'], 1_000), added, form, 1_000)
    expect(index.steps).toHaveLength(4_000)
    expect(dropped).toBe(1)
    expect(index.buildkit.records).toEqual([])
    expect(documents.config.bytes.byteLength).toBeLessThanOrEqual(4 * 1024 * 1024)
  })
})

describe('planOver()', () => {
  const namesFound = (index: CacheIndex, wanted: readonly string[]) =>
    planOver(sampleBuild(wanted).planned, lookupOf(index.steps), () => undefined).map(({ step }) =>
      step.name.slice(10),
    )

  it('finds a chain as far as it goes', async () => {
    const index = await indexOf(['a', 'b', 'c'], 5_000)
    expect(namesFound(index, ['a', 'b', 'c'])).toEqual(['a', 'b', 'c'])
    expect(namesFound(index, ['a', 'x', 'c'])).toEqual(['a'])
  })

  it('takes of two results of a step that one which the wanted steps were made of', async () => {
    const first = await indexOf(['a=1', 'b', 'c'], 5_000)
    const second = await indexOf(['a=2', 'd'], 6_000)
    const index = mergeIndexes(first, second)
    expect(namesFound(index, ['a', 'b', 'c'])).toEqual(['a', 'b', 'c'])
    expect(namesFound(index, ['a', 'd'])).toEqual(['a', 'd'])
  })

  it('goes on over what is known already, and does not give it again', async () => {
    const { planned, steps } = sampleBuild(['a=mine', 'b'])
    const index = mergeIndexes(await indexOf(['a=theirs'], 5_000), await indexOf(['a=mine', 'b'], 4_000))
    const own = steps[0]
    const found = planOver(planned, lookupOf(index.steps), (key) =>
      own?.keys.includes(key) === true ? own.record : undefined,
    )
    expect(found.map(({ step }) => step.name)).toEqual(['[1/1] RUN b'])
  })
})
