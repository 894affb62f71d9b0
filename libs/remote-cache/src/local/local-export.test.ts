import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestHex } from '@tsbuild/digest'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exportBuild, exporterOf } from '../testing/export-build.ts'
import { type SampleBuild, sampleBuild } from '../testing/sample-build.ts'
import { localImporter, localPlace } from './local-cache.ts'

const signal = new AbortController().signal
let folder = ''
let dest = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tsb-backends-local-'))
  dest = join(folder, 'cache')
})
afterEach(() => rm(folder, { recursive: true }))

interface Options {
  readonly tag?: string
  readonly reset?: boolean
}

async function exportTo(build: SampleBuild, options: Options = {}, now = 1_000) {
  const place = localPlace({ dest, ...options, now: () => now })
  return await exportBuild(build, place, { now: () => now })
}

async function foundIn(names: readonly string[], tag?: string): Promise<readonly string[]> {
  const importer = localImporter({ src: dest, tag })
  const found = await importer.plan(sampleBuild(names).planned, () => undefined, signal)
  return found.map(({ record }) => record.name.slice('[1/1] RUN '.length))
}

const blobsThere = () => readdir(join(dest, 'blobs/sha256'))

describe('a cache in a directory', () => {
  it('is found by its tag and by its digest, and gives the bytes of a layer', async () => {
    const build = sampleBuild(['a', 'b'])
    expect(await exportTo(build)).toMatchObject({ records: 2, sentBlobs: 2 })
    expect(await foundIn(['a', 'b'])).toEqual(['a', 'b'])
    await expect(foundIn(['a'], 'other')).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND' })
    const { manifests } = JSON.parse(await readFile(join(dest, 'index.json'), 'utf8'))
    const importer = localImporter({ src: dest, digest: manifests[0].digest })
    expect(await importer.plan(build.planned, () => undefined, signal)).toHaveLength(2)
    const [layer] = build.steps[0]?.layers ?? []
    if (layer === undefined) throw new Error('no layer')
    const { layer: blob } = await build.tools.blobOf(layer, undefined, signal)
    const cached = { kind: 'cached' as const, blobs: [blob], places: [], createdAt: 1 }
    const read = await (await importer.openBlob(cached, blob, 3, signal))?.toArray()
    expect(Buffer.concat(read ?? [])).toEqual(build.blobs.get(blob.digest)?.subarray(3))
  })

  it('leaves what was there where an export is killed before its end', async () => {
    await exportTo(sampleBuild(['a']))
    const before = await readFile(join(dest, 'index.json'), 'utf8')
    const now = () => 2_000
    const exporter = exporterOf(sampleBuild(['b']), localPlace({ dest, now }), { now })
    await exporter.abort()
    expect(await readFile(join(dest, 'index.json'), 'utf8')).toBe(before)
    expect(await foundIn(['a'])).toEqual(['a'])
    expect((await readdir(join(dest, 'blobs'))).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('loses nothing of six builds that end together', async () => {
    const builds = Array.from({ length: 6 }, (_, place) => ['base', `own${place}`])
    await Promise.all(builds.map((names) => exportTo(sampleBuild(names))))
    for (const names of builds) expect(await foundIn(names)).toEqual(names)
  })

  it('removes the documents of the cache before, and nothing that another tag names', async () => {
    await exportTo(sampleBuild(['a']))
    await exportTo(sampleBuild(['a']), { tag: 'other' })
    await exportTo(sampleBuild(['b']))
    // Two layers, and a manifest and a config for each of the tags.
    expect(await blobsThere()).toHaveLength(6)
    expect(await foundIn(['a'], 'other')).toEqual(['a'])
    expect(await foundIn(['a'])).toEqual(['a'])
    expect(await foundIn(['b'])).toEqual(['b'])
  })

  it('drops with reset what the export does not name, and what was abandoned', async () => {
    await exportTo(sampleBuild(['a']))
    await writeFile(join(dest, 'blobs/.0123.tmp'), 'x')
    await writeFile(join(dest, 'blobs/sha256', 'f'.repeat(64)), 'x')
    await exportTo(sampleBuild(['b']), { reset: true }, Date.now() + 2 * 60 * 60 * 1000)
    expect(await foundIn(['a'])).toEqual([])
    expect(await foundIn(['b'])).toEqual(['b'])
    expect(await blobsThere()).toHaveLength(3)
    expect(await readdir(join(dest, 'blobs'))).toEqual(['sha256'])
  })

  it('leaves a step out whose layer is gone, and has it again with the next export', async () => {
    const build = sampleBuild(['a', 'b'])
    await exportTo(build)
    const [first] = build.blobs.keys()
    if (first === undefined) throw new Error('no blob')
    await rm(join(dest, 'blobs/sha256', digestHex(first)))
    expect(await foundIn(['a', 'b'])).toEqual([])
    await exportTo(build)
    expect(await foundIn(['a', 'b'])).toEqual(['a', 'b'])
  })

  it('is not written over an image, nor into a directory that holds something else', async () => {
    await exportTo(sampleBuild(['a']))
    const path = join(dest, 'index.json')
    const index = JSON.parse(await readFile(path, 'utf8'))
    const manifest =
      '{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}'
    const { digestBytes } = await import('@tsbuild/digest')
    const digest = digestBytes(manifest)
    await writeFile(join(dest, 'blobs/sha256', digestHex(digest)), manifest)
    Object.assign(index.manifests[0], { digest, size: manifest.length })
    await writeFile(path, JSON.stringify(index))
    await expect(exportTo(sampleBuild(['a']))).rejects.toMatchObject({ code: 'ERR_CACHE_TAG' })
    dest = join(folder, 'home')
    await mkdir(dest)
    await writeFile(join(dest, 'letter'), 'x')
    await expect(exportTo(sampleBuild(['a']))).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
    expect(await readdir(dest)).toEqual(['letter'])
  })

  it.each(['index.json', 'blobs/sha256'])('follows no link: %s', async (name) => {
    await exportTo(sampleBuild(['a']))
    const { rename } = await import('node:fs/promises')
    await rename(join(dest, name), join(folder, 'elsewhere'))
    await symlink(join(folder, 'elsewhere'), join(dest, name))
    await expect(foundIn(['a'])).rejects.toMatchObject({ kind: 'user' })
    const before = await readdir(folder)
    await expect(exportTo(sampleBuild(['b']))).rejects.toMatchObject({ kind: 'user' })
    expect(await readdir(folder)).toEqual(before)
  })

  it.each([
    ['an index that is no JSON', 'index.json', 'x'],
    ['another version of the layout', 'oci-layout', '{"imageLayoutVersion":"2.0.0"}'],
  ])('refuses %s', async (_, name, text) => {
    await exportTo(sampleBuild(['a']))
    await writeFile(join(dest, name), text)
    await expect(foundIn(['a'])).rejects.toMatchObject({ kind: 'user' })
  })
})
