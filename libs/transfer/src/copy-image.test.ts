import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { digestBytes, digestHex } from '@tsbuild/digest'
import { type Descriptor, mediaTypes, parseIndex, parsePlatform } from '@tsbuild/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { copyImage, openSource, parseImagePlace } from './index.ts'
import {
  type Blobs,
  layoutFiles,
  makeImage,
  makeIndex,
  makeReferrer,
  named,
  putBlob,
  writeTree,
} from './testing/made-images.ts'
import { openTestPlaces, type TestPlaces } from './testing/place-options.ts'

let places: TestPlaces
beforeEach(async () => {
  places = await openTestPlaces()
})
afterEach(() => places.remove())

const path = (name: string) => join(places.folder, name)
/** Copies and gives the digest in the new place. */
const copy = async (from: string, to: string, options: Partial<Parameters<typeof copyImage>[2]> = {}) =>
  (await copyImage(parseImagePlace(from), parseImagePlace(to), { ...places.options, ...options })).root.digest

function layout(name: string, blobs: Blobs, root: Descriptor, extra: readonly object[] = []): string {
  writeTree(path(name), layoutFiles(blobs, [named(root, 'app'), ...extra]))
  return `oci:${name}`
}

/** What a layout directory has: the names of its blobs. */
const blobsOf = (name: string) => readdirSync(join(path(name), 'blobs/sha256')).sort()

describe('copyImage() between places', () => {
  it('keeps every byte from layout to store to archive to layout, attestations with it', async () => {
    const blobs: Blobs = new Map()
    const images = ['linux/amd64', 'linux/arm64'].map((platform) =>
      makeImage(blobs, ['one', 'two'], { platform }),
    )
    const root = makeIndex(blobs, images, true)
    const from = layout('a', blobs, root)
    expect(await copy(from, 'store:host.test/app:1')).toBe(root.digest)
    expect(await copy('store:host.test/app:1', 'oci-archive:b.tar:x')).toBe(root.digest)
    expect(await copy('oci-archive:b.tar:x', 'oci:c:y')).toBe(root.digest)
    expect(blobsOf('c')).toEqual([...blobs.keys()].map(digestHex).sort())
    for (const [digest, bytes] of blobs)
      expect(readFileSync(path(`c/blobs/sha256/${digestHex(digest)}`)).equals(bytes)).toBe(true)
    expect(places.ingest()).toEqual([])
    expect(readdirSync(places.folder).sort()).toEqual(['a', 'b.tar', 'c', 'store'])
  })

  it.each(['blobs', 'blobs/sha256'])('writes nothing through a layout whose %s is a link', async (name) => {
    const blobs: Blobs = new Map()
    const from = layout('a', blobs, makeImage(blobs, ['one']))
    mkdirSync(path('elsewhere/sha256'), { recursive: true })
    layout('b', new Map(), makeImage(new Map(), ['two']))
    rmSync(path(`b/${name}`), { recursive: true })
    symlinkSync(path('elsewhere'), path(`b/${name}`))
    await expect(copy(from, 'oci:b:x')).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
    expect(readdirSync(path('elsewhere'), { recursive: true })).toEqual(['sha256'])
  })

  it('names no image of the local list with the digest of another', async () => {
    const blobs: Blobs = new Map()
    const images = ['linux/amd64', 'linux/arm64'].map((platform) => makeImage(blobs, ['one'], { platform }))
    const [root, other] = [makeIndex(blobs, images), makeImage(blobs, ['two'])]
    const from = layout('a', blobs, root)
    await expect(copy(from, `store:host.test/app@${other.digest}`)).rejects.toMatchObject({
      code: 'ERR_DIGEST_MISMATCH',
    })
    expect(places.store.images.all()).toEqual([])
    // Who pulls one platform by the digest of all has it by that digest.
    const name = `host.test/app@${root.digest}`
    expect(await copy(from, `store:${name}`, { platforms: [parsePlatform('linux/arm64')] })).toBe(
      images[1]?.digest,
    )
    expect((await places.store.images.get(name))?.digest).toBe(images[1]?.digest)
  })

  it('chooses one platform, or makes an index of several with what is attested of them', async () => {
    const blobs: Blobs = new Map()
    const names = ['linux/amd64', 'linux/arm64', 'linux/arm/v7']
    const [first, second, third] = names.map((platform) => makeImage(blobs, [platform], { platform }))
    if (!first || !second || !third) throw new Error()
    const from = layout('a', blobs, makeIndex(blobs, [first, second, third], true))
    expect(await copy(from, 'oci:one', { platforms: [parsePlatform('linux/arm64')] })).toBe(second.digest)
    expect(blobsOf('one')).toHaveLength(3)
    const two = await copy(from, 'oci:two', {
      platforms: ['linux/arm/v7', 'linux/amd64'].map((text) => parsePlatform(text)),
    })
    const index = parseIndex(readFileSync(path(`two/blobs/sha256/${digestHex(two)}`)))
    expect(index.manifests.slice(0, 2).map(({ digest }) => digest)).toEqual([first.digest, third.digest])
    expect(
      index.manifests.slice(2).map(({ annotations }) => annotations?.['vnd.docker.reference.digest']),
    ).toEqual([first.digest, third.digest])
    // The same choice gives the same bytes.
    expect(
      await copy(from, 'oci:three', {
        platforms: ['linux/amd64', 'linux/arm/v7'].map((text) => parsePlatform(text)),
      }),
    ).toBe(two)
    await expect(copy(from, 'oci:four', { platforms: [parsePlatform('linux/s390x')] })).rejects.toMatchObject(
      { code: 'ERR_IMAGE_NOT_FOUND', message: expect.stringContaining('linux/arm/v7') },
    )
    expect(existsSync(path('four'))).toBe(false)
  })

  it('refuses an image for one other platform only where that is asked for strictly', async () => {
    const blobs: Blobs = new Map()
    const from = layout('a', blobs, makeImage(blobs, ['x'], { platform: 'linux/arm64' }))
    const platforms = [parsePlatform('linux/amd64')]
    await expect(copy(from, 'oci:b', { platforms, strict: true })).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
    })
    await copy(from, 'oci:b', { platforms })
  })

  it('takes referrers along, and what refers to them, through store, layout and archive', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['x'])
    const signature = makeReferrer(blobs, image)
    const about = makeReferrer(blobs, signature, 'countersigned')
    const entries = [signature, about].map(({ mediaType, digest, size, artifactType }) => ({
      mediaType,
      digest,
      size,
      artifactType,
    }))
    const from = layout('a', blobs, image, entries)
    await copy(from, 'oci:none')
    expect(blobsOf('none')).toHaveLength(3)
    await copy(from, 'store:app', { referrers: true })
    await copy('store:app', 'oci-archive:b.tar:app', { referrers: true })
    await copy('oci-archive:b.tar', 'oci:c', { referrers: true })
    expect(blobsOf('c')).toEqual([...blobs.keys()].map(digestHex).sort())
    const source = await openSource(parseImagePlace('oci:c'), places.options)
    expect((await source.referrers(image)).map(({ digest }) => digest)).toEqual([signature.digest])
    expect((await source.images()).map(({ root }) => root.digest)).toEqual([image.digest])
  })

  it('moves nothing that is there', async () => {
    const blobs: Blobs = new Map()
    const from = layout('a', blobs, makeImage(blobs, ['x', 'y']))
    const outcomes: string[] = []
    const onProgress = ({ outcome }: { outcome?: string | undefined }) =>
      void (outcome && outcomes.push(outcome))
    await copy(from, 'oci:b:1', { onProgress })
    await copy(from, 'oci:b:2', { onProgress })
    expect(outcomes).toEqual(['sent', 'sent', 'sent', 'exists', 'exists', 'exists'])
    const tags = parseIndex(readFileSync(path('b/index.json'))).manifests.map(({ annotations }) =>
      Object.values(annotations ?? {}),
    )
    expect(tags).toEqual([['1'], ['2']])
  })

  it('gives a tag of a layout to the newer image, and leaves other directories alone', async () => {
    const [one, two]: Blobs[] = [new Map(), new Map()]
    if (!one || !two) throw new Error()
    const other = makeImage(two, ['other'])
    await copy(layout('a', one, makeImage(one, ['x'])), 'oci:c:t')
    await copy(layout('b', two, other), 'oci:c:t')
    expect(parseIndex(readFileSync(path('c/index.json'))).manifests.map(({ digest }) => digest)).toEqual([
      other.digest,
    ])
    writeTree(path('strange'), new Map([['file', Buffer.from('x')]]))
    await expect(copy('oci:b', 'oci:strange')).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
    expect(readdirSync(path('strange')).sort()).toEqual(['blobs', 'file'])
  })

  it('writes to and reads from pipes', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['x'])
    const chunks: Buffer[] = []
    const stdout = new Writable({
      write: (chunk, _encoding, done) => done(chunks.push(chunk) > 0 ? null : null),
    })
    await copy(layout('a', blobs, image), '-', { stdout })
    const archive = Buffer.concat(chunks)
    for (const bytes of [archive, gzipSync(archive)])
      expect(
        await copy('-', 'store:piped', { stdin: Readable.from([bytes.subarray(0, 1), bytes.subarray(1)]) }),
      ).toBe(image.digest)
    expect(places.ingest()).toEqual([])
  })

  it('writes no docker archive of several platforms, and one of an index of one', async () => {
    const blobs: Blobs = new Map()
    const images = ['linux/amd64', 'linux/arm64'].map((platform) => makeImage(blobs, ['x'], { platform }))
    await expect(
      copy(layout('a', blobs, makeIndex(blobs, images)), 'docker-archive:x.tar:app:1'),
    ).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' })
    expect(existsSync(path('x.tar'))).toBe(false)
    await copy(layout('b', blobs, makeIndex(blobs, images.slice(0, 1), true)), 'docker-archive:x.tar:app:1')
    expect(await copy('docker-archive:x.tar:app:1', 'oci:c')).toMatch(/^sha256:/)
  })

  it('leaves nothing behind when it is cancelled', async () => {
    const blobs: Blobs = new Map()
    const from = layout('a', blobs, makeImage(blobs, ['x']))
    for (const to of ['oci:b', 'oci-archive:b.tar', 'docker-archive:b.tar']) {
      const abort = new AbortController()
      await expect(
        copy(from, to, { signal: abort.signal, onProgress: () => abort.abort() }),
      ).rejects.toThrow()
    }
    expect(readdirSync(places.folder).sort()).toEqual(['a', 'store'])
    expect(places.ingest()).toEqual([])
  })
})

describe('copyImage() of what is not sound', () => {
  it('moves nothing and names nothing when a blob has other bytes, is too long, too short, or missing', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['one', 'two'])
    const [layer] = [...blobs].filter(([, bytes]) => bytes[0] === 0x1f)
    const file = `blobs/sha256/${digestHex(layer?.[0] ?? image.digest)}`
    const bytes = layer?.[1] ?? Buffer.alloc(0)
    const flipped = Buffer.from(bytes)
    flipped[12] = (flipped[12] ?? 0) ^ 1
    for (const [at, damaged] of [
      flipped,
      Buffer.concat([bytes, Buffer.alloc(1)]),
      bytes.subarray(1),
      undefined,
    ].entries()) {
      const files = layoutFiles(blobs, [named(image, 'app')])
      if (damaged === undefined) files.delete(file)
      else files.set(file, damaged)
      writeTree(path(`bad${at}`), files)
      for (const to of [
        'store:bad',
        `oci:out${at}`,
        `oci-archive:out${at}.tar`,
        `docker-archive:out${at}.tar`,
      ])
        await expect(copy(`oci:bad${at}`, to), `${at} ${to}`).rejects.toMatchObject({
          code: expect.stringMatching(/^ERR_(?:DIGEST_MISMATCH|SIZE_MISMATCH|ARCHIVE_INVALID)$/),
        })
      expect(existsSync(path(`out${at}`)) || existsSync(path(`out${at}.tar`))).toBe(false)
    }
    expect(await places.store.images.list()).toEqual([])
    expect(await places.store.blobs.size(image.digest)).toBeUndefined()
    expect(places.ingest()).toEqual([])
  })

  it('MAN-03: refuses documents over 4 MiB, nested too deep, too many, and members that are there twice', async () => {
    const refuse = async (bytes: Buffer, mediaType: string = mediaTypes.ociManifest) => {
      const blobs: Blobs = new Map()
      const root = putBlob(blobs, bytes, mediaType)
      const name = `l${root.digest.slice(7, 15)}`
      await expect(copy(layout(name, blobs, root), 'store:x')).rejects.toMatchObject({
        code: 'ERR_MANIFEST_INVALID',
      })
    }
    await refuse(Buffer.concat([Buffer.from('{"schemaVersion":2}'), Buffer.alloc(4 * 1024 * 1024, ' ')]))
    await refuse(Buffer.from(`${'['.repeat(100_000)}${']'.repeat(100_000)}`))
    await refuse(Buffer.from(`{"schemaVersion":2,"a":${'['.repeat(100)}${']'.repeat(100)},"layers":[]}`))
    const digest = digestBytes('x')
    const config = `{"mediaType":"${mediaTypes.ociConfig}","digest":"${digest}","digest":"${digestBytes('y')}","size":1}`
    await refuse(
      Buffer.from(
        `{"schemaVersion":2,"mediaType":"${mediaTypes.ociManifest}","config":${config},"layers":[]}`,
      ),
    )
    const entry = (at: number) => ({
      mediaType: mediaTypes.ociManifest,
      digest: digestBytes(`${at}`),
      size: 40_000,
    })
    const many = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: Array.from({ length: 3000 }, (_, at) => entry(at)),
    }
    await refuse(Buffer.from(JSON.stringify(many)), mediaTypes.ociIndex)
    const blobs: Blobs = new Map()
    let nested = makeIndex(blobs, [makeImage(blobs, ['x'])])
    for (let depth = 0; depth < 6; depth++) nested = makeIndex(blobs, [nested])
    await expect(copy(layout('nested', blobs, nested), 'store:x')).rejects.toMatchObject({
      code: 'ERR_MANIFEST_INVALID',
    })
    expect(await places.store.images.list()).toEqual([])
  })

  it('takes a document of exactly 4 MiB', async () => {
    const blobs: Blobs = new Map()
    const manifest = blobs.get(makeImage(blobs, ['x']).digest) ?? Buffer.alloc(0)
    const padded = Buffer.concat([manifest, Buffer.alloc(4 * 1024 * 1024 - manifest.length, ' ')])
    const root = putBlob(blobs, padded, mediaTypes.ociManifest)
    expect(await copy(layout('a', blobs, root), 'store:large')).toBe(root.digest)
  })

  it('refuses an index whose entries say two sizes of one blob', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['x'])
    const root = makeIndex(blobs, [image, { ...image, size: image.size + 1 }])
    await expect(copy(layout('a', blobs, root), 'store:x')).rejects.toMatchObject({
      code: 'ERR_MANIFEST_INVALID',
    })
  })

  it('cannot end in a loop of referrers', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['x'])
    let last: Descriptor = image
    const entries: object[] = []
    for (let depth = 0; depth < 8; depth++) {
      last = makeReferrer(blobs, last, `${depth}`)
      entries.push({
        mediaType: last.mediaType,
        digest: last.digest,
        size: last.size,
        artifactType: last.artifactType,
      })
    }
    await expect(
      copy(layout('a', blobs, image, entries), 'store:x', { referrers: true }),
    ).rejects.toMatchObject({ code: 'ERR_MANIFEST_INVALID' })
  })
})

describe('openSource() of an archive', () => {
  it('gives the bytes of an entry from any offset', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['x'.repeat(5000)], { plain: true })
    await copy(layout('a', blobs, image), 'oci-archive:a.tar')
    const source = await openSource(parseImagePlace('oci-archive:a.tar'), places.options)
    try {
      const layer = { mediaType: mediaTypes.ociLayer, digest: digestBytes('x'.repeat(5000)), size: 5000 }
      for (const offset of [0, 1, 511, 4999, 5000])
        expect((await buffer(source.blob(layer).openRange(offset))).length).toBe(5000 - offset)
    } finally {
      await source.close()
    }
  })

  it('says what is wrong with a file that is none', async () => {
    writeFileSync(path('none.tar'), 'text')
    for (const [place, code] of [
      ['oci-archive:none.tar', 'ERR_ARCHIVE_INVALID'],
      ['oci-archive:missing.tar', 'ERR_ARCHIVE_INVALID'],
      ['oci:missing', 'ERR_ARCHIVE_INVALID'],
      ['store:missing', 'ERR_IMAGE_NOT_FOUND'],
    ] as const)
      await expect(openSource(parseImagePlace(place), places.options), place).rejects.toMatchObject({ code })
  })
})
