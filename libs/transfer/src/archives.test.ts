import { createHash } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { digestBytes, digestHex } from '@tsbuild/digest'
import { type Descriptor, mediaTypes, parseIndex, parseManifest, serializeImageConfig } from '@tsbuild/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { copyImage, loadArchive, parseImagePlace, saveArchive } from './index.ts'
import {
  type Blobs,
  layoutFiles,
  makeImage,
  makeIndex,
  makeReferrer,
  named,
  writeTree,
} from './testing/made-images.ts'
import { makeTar, type TarEntry } from './testing/make-tar.ts'
import { openTestPlaces, type TestPlaces } from './testing/place-options.ts'

let places: TestPlaces
beforeEach(async () => {
  places = await openTestPlaces()
})
afterEach(() => places.remove())

const path = (name: string) => join(places.folder, name)
const write = (entries: readonly TarEntry[], name = 'a.tar'): string => {
  writeFileSync(path(name), makeTar(entries))
  return name
}
const load = (name: string) => loadArchive(name, places.options)
const names = async () => (await places.store.images.list()).map(({ name }) => name)
const layoutEntries = (blobs: Blobs, entries: readonly object[]): TarEntry[] =>
  [...layoutFiles(blobs, entries)].map(([name, data]) => ({ name, data }))

/** The files of an archive in the old form of `docker save`: layers that are texts here. */
function oldArchive(layers: readonly string[], tags: readonly string[] | null = ['app:1']) {
  const config = serializeImageConfig({
    platform: { os: 'linux', architecture: 'amd64' },
    config: {},
    diffIds: layers.map((text) => digestBytes(text) as never),
    history: [],
  })
  const configName = `${digestHex(digestBytes(config))}.json`
  const folder = (at: number) => createHash('sha256').update(`${at}`).digest('hex')
  const manifest = [
    { Config: configName, RepoTags: tags, Layers: layers.map((_, at) => `${folder(at)}/layer.tar`) },
  ]
  const entries: TarEntry[] = [
    ...layers.flatMap((text, at): TarEntry[] => [
      { name: `${folder(at)}/`, type: '5' },
      { name: `${folder(at)}/VERSION`, data: '1.0' },
      { name: `${folder(at)}/layer.tar`, data: text },
    ]),
    { name: configName, data: config },
    { name: 'manifest.json', data: JSON.stringify(manifest) },
    { name: 'repositories', data: '{}' },
  ]
  return { entries, manifest, config, folder }
}

describe('loadArchive()', () => {
  it('does not let an archive say what a name with a digest means', async () => {
    const blobs: Blobs = new Map()
    const [evil, wanted] = ['evil', 'wanted'].map((text) => makeImage(blobs, [text]))
    if (!evil || !wanted) throw new Error()
    const pinned = `host.test/app@${wanted.digest}`
    const entry = { ...named(evil, 'x'), annotations: { 'io.containerd.image.name': pinned } }
    await load(write(layoutEntries(blobs, [entry])))
    await load(write(oldArchive(['evil'], [pinned]).entries))
    expect(places.store.images.all().map(({ name }) => name)).not.toContain(pinned)
    const own = { ...named(wanted, 'x'), annotations: { 'io.containerd.image.name': pinned } }
    await load(write(layoutEntries(blobs, [own])))
    expect((await places.store.images.get(pinned))?.digest).toBe(wanted.digest)
  })

  it('takes every image of an archive with all its names, and keeps one without a name', async () => {
    const blobs: Blobs = new Map()
    const [one, two, three] = ['one', 'two', 'three'].map((text) => makeImage(blobs, [text, 'shared']))
    if (!one || !two || !three) throw new Error()
    const full = {
      ...named(one, '1.0'),
      annotations: {
        'io.containerd.image.name': 'host.test/one:1.0',
        'org.opencontainers.image.ref.name': '1.0',
      },
    }
    const loaded = await load(
      write(
        layoutEntries(blobs, [
          full,
          named(two, 'host.test/two:1'),
          named(two, 'two:2'),
          named(three, 'latest'),
        ]),
      ),
    )
    expect(loaded.map(({ names }) => names)).toEqual([
      ['host.test/one:1.0'],
      ['host.test/two:1', 'docker.io/library/two:2'],
      [],
    ])
    expect((await names()).toSorted()).toEqual([
      'docker.io/library/two:2',
      'host.test/one:1.0',
      'host.test/two:1',
    ])
    expect(
      places.store.images
        .all()
        .filter(({ name }) => name === undefined)
        .map(({ descriptor }) => descriptor.digest),
    ).toEqual([three.digest])
    // Again it is the same list; a name takes the place of the entry without one.
    await load('a.tar')
    expect(places.store.images.all()).toHaveLength(4)
    await places.store.images.set(['host.test/three:1'], three)
    expect(places.store.images.all()).toHaveLength(4)
  })

  it('reads the old form of docker save: config and layers stay, the manifest is made the same each time', async () => {
    const { entries, config } = oldArchive(['layer one', 'layer two', 'layer one'])
    const [first] = await load(write(entries))
    expect(first?.names).toEqual(['docker.io/library/app:1'])
    const manifest = parseManifest(await places.store.blobs.read(first?.root.digest ?? digestBytes('')))
    expect(manifest.config.digest).toBe(digestBytes(config))
    expect(manifest.layers.map(({ digest, mediaType }) => [digest, mediaType])).toEqual(
      ['layer one', 'layer two', 'layer one'].map((text) => [digestBytes(text), mediaTypes.ociLayer]),
    )
    const [again] = await load(write(entries.toReversed(), 'b.tar'))
    expect(again?.root.digest).toBe(first?.root.digest)
  })

  it('follows the symlink that docker writes for a layer that is there twice, once and within the archive', async () => {
    const { entries, folder } = oldArchive(['same', 'same'])
    const linked = (target: string) =>
      entries.map(
        (entry): TarEntry =>
          entry.name === `${folder(1)}/layer.tar` ? { name: entry.name, type: '2', link: target } : entry,
      )
    expect(await load(write(linked(`../${folder(0)}/layer.tar`)))).toHaveLength(1)
    const target = path('outside')
    writeFileSync(target, 'same')
    for (const [at, link] of [target, '../../outside', `../${folder(1)}/layer.tar`, 'layer.tar'].entries())
      await expect(load(write(linked(link), `bad${at}.tar`)), link).rejects.toMatchObject({
        code: 'ERR_ARCHIVE_INVALID',
      })
    const hard = linked('x').map(
      (entry): TarEntry =>
        entry.type === '2' ? { ...entry, type: '1', link: `${folder(0)}/layer.tar` } : entry,
    )
    await expect(load(write(hard, 'hard.tar'))).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
  })

  it('takes compressed layers of such an archive as they are', async () => {
    const { entries, folder } = oldArchive(['layer one'])
    const stored = gzipSync('layer one')
    const packed = entries.map(
      (entry): TarEntry => (entry.name === `${folder(0)}/layer.tar` ? { ...entry, data: stored } : entry),
    )
    const [image] = await load(write(packed))
    const manifest = parseManifest(await places.store.blobs.read(image?.root.digest ?? digestBytes('')))
    expect(manifest.layers).toMatchObject([
      { digest: digestBytes(stored), mediaType: mediaTypes.ociLayerGzip, size: stored.length },
    ])
  })

  it('leaves out the platforms of an index that an archive does not have', async () => {
    const blobs: Blobs = new Map()
    const images = ['linux/amd64', 'linux/arm64', 'linux/s390x'].map((platform) =>
      makeImage(blobs, [platform], { platform }),
    )
    const root = makeIndex(blobs, images, true)
    const [first, second, third] = images
    if (!first || !second || !third) throw new Error()
    blobs.delete(third.digest)
    const [two] = await load(write(layoutEntries(blobs, [named(root, 'host.test/two:1')])))
    const index = parseIndex(await places.store.blobs.read(two?.root.digest ?? digestBytes('')))
    expect(index.manifests.map(({ digest }) => digest).slice(0, 2)).toEqual([first.digest, second.digest])
    expect(index.manifests).toHaveLength(4)
    for (const entry of parseIndex(blobs.get(root.digest) ?? Buffer.alloc(0)).manifests)
      if (entry.digest !== first.digest) blobs.delete(entry.digest)
    const [one] = await load(write(layoutEntries(blobs, [named(root, 'host.test/one:1')]), 'b.tar'))
    expect(one?.root.digest).toBe(first.digest)
  })

  it.each<[string, (entries: TarEntry[], manifest: Record<string, unknown>) => TarEntry[]]>([
    ['no JSON', (entries) => replace(entries, '{')],
    ['an object', (entries, manifest) => replace(entries, JSON.stringify(manifest))],
    ['an empty list', (entries) => replace(entries, '[]')],
    ['a list of texts', (entries) => replace(entries, '["a"]')],
    ['a list of lists', (entries) => replace(entries, '[[]]')],
    ['no config', (entries, { Config: _, ...rest }) => replace(entries, JSON.stringify([rest]))],
    [
      'a config that is a number',
      (entries, manifest) => replace(entries, JSON.stringify([{ ...manifest, Config: 1 }])),
    ],
    [
      'a config outside',
      (entries, manifest) => replace(entries, JSON.stringify([{ ...manifest, Config: '../../etc/passwd' }])),
    ],
    [
      'a config that is not there',
      (entries, manifest) => replace(entries, JSON.stringify([{ ...manifest, Config: 'none.json' }])),
    ],
    [
      'layers that are a text',
      (entries, manifest) => replace(entries, JSON.stringify([{ ...manifest, Layers: 'x' }])),
    ],
    [
      'too few layers',
      (entries, manifest) => replace(entries, JSON.stringify([{ ...manifest, Layers: [] }])),
    ],
    [
      'a layer that is not there',
      (entries, manifest) => replace(entries, JSON.stringify([{ ...manifest, Layers: ['x/layer.tar'] }])),
    ],
    [
      'a layer with other bytes',
      (entries) =>
        entries.map((entry) => (entry.name.endsWith('/layer.tar') ? { ...entry, data: 'layer 0ne' } : entry)),
    ],
    [
      'a config under another name',
      (entries) =>
        entries.map((entry) =>
          /^[0-9a-f]{64}\.json$/.test(entry.name) ? { ...entry, data: `${String(entry.data)} ` } : entry,
        ),
    ],
    [
      'tags that are numbers',
      (entries, manifest) => replace(entries, JSON.stringify([{ ...manifest, RepoTags: [1] }])),
    ],
    [
      'a tag that is none',
      (entries, manifest) => replace(entries, JSON.stringify([{ ...manifest, RepoTags: ['../x'] }])),
    ],
    ['more than 4 MiB', (entries) => replace(entries, `[${' '.repeat(4 * 1024 * 1024)}]`)],
  ])('refuses a manifest.json with %s, and names nothing', async (_, change) => {
    const { entries, manifest } = oldArchive(['layer one'])
    const archive = write(change([...entries], manifest[0] ?? {}))
    await expect(load(archive)).rejects.toMatchObject({
      code: expect.stringMatching(
        /^ERR_(?:ARCHIVE_INVALID|DIGEST_MISMATCH|SIZE_MISMATCH|REFERENCE_INVALID|MANIFEST_INVALID)$/,
      ),
    })
    expect(places.store.images.all()).toEqual([])
    expect(places.ingest()).toEqual([])
  })

  it('refuses a manifest.json that names another image than the index.json beside it', async () => {
    const blobs: Blobs = new Map()
    const [one, two] = ['one', 'two'].map((text) => makeImage(blobs, [text]))
    if (!one || !two) throw new Error()
    const configOf = ({ digest }: Descriptor) =>
      `blobs/sha256/${digestHex(parseManifest(blobs.get(digest) ?? Buffer.alloc(0)).config.digest)}`
    const docker = (image: Descriptor, tag: string): TarEntry => ({
      name: 'manifest.json',
      data: JSON.stringify([{ Config: configOf(image), RepoTags: [tag], Layers: [] }]),
    })
    const both = layoutEntries(blobs, [named(one, 'host.test/app:1'), named(two, 'host.test/app:2')])
    await expect(load(write([...both, docker(two, 'host.test/app:1')]))).rejects.toMatchObject({
      code: 'ERR_ARCHIVE_INVALID',
      message: expect.stringContaining('ambiguous'),
    })
    expect(await names()).toEqual([])
    expect(await load(write([...both, docker(two, 'host.test/app:2')], 'b.tar'))).toHaveLength(2)
  })

  it('MAN-07: takes no blob that is a link, hard or symbolic, in an archive', async () => {
    for (const type of ['1', '2'] as const) {
      const blobs: Blobs = new Map()
      const image = makeImage(blobs, ['one'])
      const entries = layoutEntries(blobs, [named(image, 'host.test/app:1')])
      for (const { name } of entries.filter(({ name }) => name.startsWith('blobs/'))) {
        const linked = entries.flatMap((entry): TarEntry[] =>
          entry.name === name
            ? [
                { name: 'elsewhere', data: entry.data ?? '' },
                { name, type, link: type === '1' ? 'elsewhere' : '../../elsewhere' },
              ]
            : [entry],
        )
        await expect(load(write(linked))).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
      }
      const index = entries.map(
        (entry): TarEntry =>
          entry.name === 'index.json' ? { name: entry.name, type, link: '/etc/passwd' } : entry,
      )
      await expect(load(write(index))).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
    }
    expect(places.store.images.all()).toEqual([])
  })

  it('refuses damaged compression, and a compressed file that is no archive', async () => {
    const blobs: Blobs = new Map()
    const whole = makeTar(layoutEntries(blobs, [named(makeImage(blobs, ['x']), 'x')]))
    const packed = gzipSync(whole)
    for (const bytes of [
      packed.subarray(0, packed.length - 20),
      Buffer.concat([packed.subarray(0, 60), packed.subarray(64)]),
      gzipSync('text'),
      Buffer.from('fd377a585a0000', 'hex'),
    ]) {
      writeFileSync(path('bad.gz'), bytes)
      await expect(load('bad.gz')).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
    }
    expect(places.ingest()).toEqual([])
  })

  it('reads zstd', async () => {
    // `zstd -19`.
    const { zstdArchive } = await import('./testing/zstd-archive.ts')
    writeFileSync(path('a.tar.zst'), zstdArchive)
    expect((await load('a.tar.zst')).map(({ names }) => names)).toEqual([['host.test/zstd:1']])
    writeFileSync(path('b.tar.zst'), zstdArchive.subarray(0, zstdArchive.length - 30))
    await expect(load('b.tar.zst')).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
  })
})

describe('a layout directory', () => {
  it('MAN-07: is not read through links, on any part of a path', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['one'])
    const files = layoutFiles(blobs, [named(image, 'app')])
    const copy = (name: string) =>
      copyImage(parseImagePlace(`oci:${name}`), parseImagePlace('store:app'), places.options)
    const plant = (name: string, change: (root: string) => void) => {
      const root = writeTree(path(name), files)
      change(root)
      return name
    }
    const swap = (root: string, name: string) => {
      renameSync(join(root, name), join(places.folder, `${name.replaceAll('/', '-')}-moved`))
      symlinkSync(join(places.folder, `${name.replaceAll('/', '-')}-moved`), join(root, name))
    }
    for (const part of [...files.keys(), 'blobs', 'blobs/sha256']) {
      const name = plant(`l${part.replaceAll('/', '-').slice(-20)}`, (root) => swap(root, part))
      await expect(copy(name), part).rejects.toMatchObject({
        code: 'ERR_ARCHIVE_INVALID',
        message: expect.stringContaining('link'),
      })
      rmSync(path(name), { recursive: true })
      rmSync(path(`${part.replaceAll('/', '-')}-moved`), { recursive: true })
    }
    const special = plant('special', (root) => {
      rmSync(join(root, 'index.json'))
      mkdirSync(join(root, 'index.json'))
    })
    await expect(copy(special)).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
    // Hard links are files, and what they hold is verified.
    expect(
      await copy(plant('hard', (root) => linkSync(join(root, 'index.json'), join(root, 'other')))),
    ).toMatchObject({ moved: true })
    // The layout itself may be reached through one: that was the user's word.
    symlinkSync(path('hard'), path('link'))
    await copy('link')
  })
})

describe('saveArchive()', () => {
  const save = (wanted: readonly string[], name: string, format: 'oci' | 'docker', extra = {}) =>
    saveArchive(wanted, name, { ...places.options, format, ...extra })

  it('writes several images into one archive, what they share once, and always the same bytes', async () => {
    const blobs: Blobs = new Map()
    const images = ['one', 'two'].map((text) => makeImage(blobs, [text, 'shared']))
    await load(
      write(
        layoutEntries(
          blobs,
          images.map((image, at) => named(image, `host.test/app:${at}`)),
        ),
      ),
    )
    for (const format of ['oci', 'docker'] as const) {
      await save(['host.test/app:0', 'host.test/app:1', 'host.test/app:0'], 'b.tar', format)
      await save(['host.test/app:0', 'host.test/app:1'], 'c.tar', format)
      expect(readFileSync(path('b.tar')).equals(readFileSync(path('c.tar')))).toBe(true)
      const other = await openTestPlaces()
      try {
        const again = await loadArchive(path('b.tar'), other.options)
        expect(again.map(({ root, names }) => [root.digest, names])).toEqual(
          images.map(({ digest }, at) => [digest, [`host.test/app:${at}`]]),
        )
      } finally {
        await other.remove()
      }
    }
  })

  it('saves an id with all names of its image, and a name with no other', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['one'])
    await load(
      write(layoutEntries(blobs, [named(image, 'host.test/app:1'), named(image, 'host.test/app:2')])),
    )
    const saved = async (name: string) => {
      await save([name], 'b.tar', 'docker')
      return (await load('b.tar')).flatMap(({ names }) => names)
    }
    expect(await saved('host.test/app:1')).toEqual(['host.test/app:1'])
    expect(await saved(digestHex(image.digest).slice(0, 12))).toEqual(['host.test/app:1', 'host.test/app:2'])
  })

  it('writes referrers where a layout can list them', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['one'])
    const signature = makeReferrer(blobs, image)
    const { mediaType, digest, size, artifactType } = signature
    await load(
      write(
        layoutEntries(blobs, [named(image, 'host.test/app:1'), { mediaType, digest, size, artifactType }]),
      ),
    )
    expect(await places.store.blobs.size(signature.digest)).toBe(signature.size)
    await save(['host.test/app:1'], 'b.tar', 'oci', { referrers: true })
    const other = await openTestPlaces()
    try {
      expect(await loadArchive(path('b.tar'), other.options)).toHaveLength(1)
      expect(await other.store.blobs.size(signature.digest)).toBe(signature.size)
    } finally {
      await other.remove()
    }
  })

  it('says what is not there, and leaves no file', async () => {
    await expect(save(['host.test/none:1'], 'b.tar', 'oci')).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
    })
    expect(() => readFileSync(path('b.tar'))).toThrow()
  })
})

function replace(entries: readonly TarEntry[], text: string): TarEntry[] {
  return entries.map((entry) => (entry.name === 'manifest.json' ? { ...entry, data: text } : entry))
}
