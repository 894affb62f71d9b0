import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Digest, digestBytes, digestHex } from '@tsbuild/digest'
import { type Descriptor, isIndexType, isManifestType, mediaTypes, parseReference } from '@tsbuild/oci'
import { type FakeRegistry, fault, startFakeRegistry } from '@tsbuild/registry/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { copyImage, createIndex, parseImagePlace } from './index.ts'
import { type Blobs, makeImage, makeIndex, makeReferrer } from './testing/made-images.ts'
import { openTestPlaces, type TestPlaces } from './testing/place-options.ts'

let places: TestPlaces
let near: FakeRegistry
let far: FakeRegistry
beforeEach(async () => {
  places = await openTestPlaces()
  near = await startFakeRegistry({ lists: { referrers: true } })
  far = await startFakeRegistry()
})
afterEach(async () => {
  await places.remove()
  await near.stop()
  await far.stop()
})

/** A layer that takes several pieces of a connection, and that no compression makes small. */
const large = Array.from({ length: 6000 }, (_, at) => digestBytes(`${at}`)).join('')

/** Puts an image into a registry as it is. */
function fill(registry: FakeRegistry, blobs: Blobs, root: Descriptor, repository = 'app', tag = '1'): string {
  for (const [digest, bytes] of blobs) {
    const mediaType = typeOf(bytes)
    if (mediaType === undefined) registry.blobs.set(`${repository}@${digest}`, bytes)
    else registry.manifests.set(`${repository}@${digest}`, { bytes, mediaType })
  }
  registry.manifests.set(`${repository}:${tag}`, {
    bytes: blobs.get(root.digest) ?? Buffer.alloc(0),
    mediaType: root.mediaType,
  })
  return `${registry.host}/${repository}:${tag}`
}

function typeOf(bytes: Buffer): string | undefined {
  if (bytes[0] !== 0x7b) return undefined
  const { mediaType } = JSON.parse(bytes.toString())
  return isManifestType(mediaType) || isIndexType(mediaType) ? mediaType : undefined
}

const copy = async (from: string, to: string, options = {}) =>
  (await copyImage(parseImagePlace(from), parseImagePlace(to), { ...places.options, ...options })).root.digest
const seen = ({ requests }: FakeRegistry, pattern: RegExp) =>
  requests.map(({ method, path }) => `${method} ${path}`).filter((line) => pattern.test(line))

describe('copyImage() with registries', () => {
  it('puts blobs first, then manifests from below, then the name', async () => {
    const blobs: Blobs = new Map()
    const images = ['linux/amd64', 'linux/arm64'].map((platform) =>
      makeImage(blobs, ['one', 'two'], { platform }),
    )
    const root = makeIndex(blobs, images, true)
    expect(await copy(fill(near, blobs, root), `${far.host}/copy:2`)).toBe(root.digest)
    const puts = seen(far, /^PUT /).map((line) =>
      line.includes('/blobs/') ? 'blob' : line.replace(/^.*\/manifests\//, ''),
    )
    const manifests = puts.filter((line) => line !== 'blob')
    expect(puts.slice(0, puts.length - manifests.length)).not.toContain(expect.stringContaining('sha256'))
    expect(puts.lastIndexOf('blob')).toBe(puts.length - manifests.length - 1)
    expect(manifests).toHaveLength(5)
    expect(manifests.at(-1)).toBe('2')
    expect(far.manifests.get('copy:2')?.bytes.equals(blobs.get(root.digest) ?? Buffer.alloc(0))).toBe(true)
  })

  it('puts what is about an image behind the image, and before its name', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['one'])
    const signature = makeReferrer(blobs, image)
    await copy(fill(near, blobs, image), `${far.host}/copy:2`, { referrers: true })
    const puts = seen(far, /^PUT .*\/manifests\//).map((line) => line.replace(/^.*\/manifests\//, ''))
    const order = [image.digest, signature.digest, '2'].map((name) => puts.indexOf(name))
    expect(order).not.toContain(-1)
    expect(order).toEqual(order.toSorted((a, b) => a - b))
  })

  it('mounts blobs between repositories of one registry, and reads none', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['one', 'two'])
    await copy(fill(near, blobs, image), `${near.host}/other:1`)
    expect(seen(near, /^POST .*mount=/)).toHaveLength(3)
    expect(seen(near, /^(?:GET|PUT|PATCH) .*\/blobs\//)).toEqual([])
    expect(near.manifests.has('other:1')).toBe(true)
  })

  it('sends nothing that is there', async () => {
    const blobs: Blobs = new Map()
    const root = makeIndex(blobs, [makeImage(blobs, ['one'])], true)
    const from = fill(near, blobs, root)
    await copy(from, `${far.host}/copy:1`)
    const before = far.requests.length
    await copy(from, `${far.host}/copy:2`)
    const after = far.requests.slice(before).map(({ method, path }) => `${method} ${path}`)
    expect(after.filter((line) => /^(?:POST|PATCH|PUT) /.test(line))).toEqual(['PUT /v2/copy/manifests/2'])
  })

  it.each(['close', 'reset'] as const)('goes on where the source cuts the line by a %s', async (how) => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, [large], { plain: true })
    const from = fill(near, blobs, image)
    const layer = { method: 'GET', path: new RegExp(digestBytes(large)) }
    for (const to of [`${far.host}/copy:1`, 'store:copy', 'oci:copy', 'oci-archive:copy.tar']) {
      for (const after of [100_000, 50_000]) near.fault(fault(layer, { type: 'cut-answer', after, how }))
      expect(await copy(from, to), to).toBe(image.digest)
      expect(near.pendingFaults(), to).toBe(0)
    }
    const asked = near.requests.filter(({ path }) => path.includes(digestBytes(large)))
    expect(asked.filter(({ range }) => range !== undefined)).toHaveLength(8)
    expect(far.blobs.get(`copy@${digestBytes(large)}`)?.toString()).toBe(large)
  })

  it('gives a name to nothing whose bytes are others than its digest says', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, [large], { plain: true })
    const from = fill(near, blobs, image)
    const wrong = Buffer.from(large)
    wrong[1000] = (wrong[1000] ?? 0) ^ 1
    near.blobs.set(`app@${digestBytes(large)}`, wrong)
    for (const to of [
      `${far.host}/copy:1`,
      'store:copy',
      'oci:copy',
      'oci-archive:copy.tar',
      'docker-archive:copy2.tar:x',
    ])
      await expect(copy(from, to), to).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_(?:DIGEST_MISMATCH|REGISTRY_STATUS)$/),
      })
    expect([...far.manifests.keys()]).toEqual([])
    expect(far.blobs.has(`copy@${digestBytes(large)}`)).toBe(false)
    expect(await places.store.images.list()).toEqual([])
    expect(readdirSync(places.folder)).toEqual(['store'])
    expect(places.ingest()).toEqual([])
  })

  it('refuses a manifest whose size is another than its index says, and moves nothing', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['one'])
    const root = makeIndex(blobs, [{ ...image, size: image.size - 1 }])
    await expect(copy(fill(near, blobs, root), `${far.host}/copy:1`)).rejects.toMatchObject({
      code: 'ERR_SIZE_MISMATCH',
    })
    expect(far.requests).toEqual([])
  })

  it('gives a name with a digest to that image alone', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['one'])
    const from = fill(near, blobs, image)
    expect(await copy(from, `${far.host}/copy@${image.digest}`)).toBe(image.digest)
    await expect(copy(from, `${far.host}/copy@${digestBytes('other')}`)).rejects.toMatchObject({
      code: 'ERR_DIGEST_MISMATCH',
    })
    expect([...far.manifests.keys()]).toEqual([`copy@${image.digest}`])
  })

  it('ends at once when it is cancelled, with nothing named', async () => {
    const blobs: Blobs = new Map()
    const from = fill(near, blobs, makeImage(blobs, [large, 'two'], { plain: true }))
    for (const to of [`${far.host}/copy:1`, 'store:copy', 'oci:copy', 'oci-archive:copy.tar']) {
      const abort = new AbortController()
      const onProgress = ({ currentBytes }: { currentBytes: number }) =>
        void (currentBytes > 0 && abort.abort())
      await expect(copy(from, to, { signal: abort.signal, onProgress }), to).rejects.toThrow()
    }
    expect([...far.manifests.keys()]).toEqual([])
    expect(existsSync(join(places.folder, 'copy')) || existsSync(join(places.folder, 'copy.tar'))).toBe(false)
    expect(places.ingest()).toEqual([])
  })
})

describe('createIndex()', () => {
  const indexOf = async (names: readonly string[], sources: readonly string[], options = {}) =>
    JSON.parse(
      (
        await createIndex({
          ...places.options,
          names: names.map((name) => parseReference(name)),
          parts: sources.map((source) => ({ place: parseImagePlace(source) })),
          ...options,
        })
      ).bytes.toString(),
    )

  it('moves what another registry has, and leaves alone what the repository has', async () => {
    const blobs: Blobs = new Map()
    const [one, two] = ['linux/amd64', 'linux/arm64'].map((platform) =>
      makeImage(blobs, [platform], { platform }),
    )
    if (!one || !two) throw new Error()
    const sources = [fill(near, blobs, one), fill(far, blobs, two, 'other')]
    const made = await indexOf([`${near.host}/app:all`], sources)
    expect(made.manifests.map(({ digest }: { digest: Digest }) => digest)).toEqual([one.digest, two.digest])
    expect(seen(near, /^PUT /)).toEqual(['PUT /v2/app/manifests/all'])
    await indexOf([`${near.host}/new:all`], sources)
    expect(near.manifests.has(`new@${two.digest}`)).toBe(true)
    expect(seen(near, /^POST .*mount=/).length).toBeGreaterThan(0)
  })

  it('replaces what was attested of an image together with the image', async () => {
    const blobs: Blobs = new Map()
    const old = makeIndex(
      blobs,
      [makeImage(blobs, ['old']), makeImage(blobs, ['arm'], { platform: 'linux/arm64' })],
      true,
    )
    const fresh = makeIndex(blobs, [makeImage(blobs, ['new'])], true)
    fill(near, blobs, old, 'app', 'all')
    const made = await indexOf([`${near.host}/app:all`], [fill(near, blobs, fresh, 'app', 'new')], {
      append: true,
    })
    const about = made.manifests.map(
      (entry: { platform: { architecture: string }; annotations?: Record<string, string>; digest: string }) =>
        entry.annotations?.['vnd.docker.reference.digest'] ?? entry.digest,
    )
    expect(made.manifests).toHaveLength(4)
    expect(new Set(about).size).toBe(2)
  })

  it('takes layouts and archives too, and says Docker where all of it is', async () => {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['one'])
    await copy(fill(far, blobs, image), 'oci:layout:x')
    const made = await indexOf([`${near.host}/app:all`], ['oci:layout:x'])
    expect(made.mediaType).toBe(mediaTypes.ociIndex)
    expect(near.blobs.size).toBe(2)
    expect([...near.manifests.keys()].toSorted()).toEqual(
      [
        `app:all`,
        `app@${image.digest}`,
        `app@${digestBytes(near.manifests.get('app:all')?.bytes ?? '')}`,
      ].toSorted(),
    )
    expect(digestHex(image.digest)).toBe(made.manifests[0].digest.slice(7))
  })

  it('refuses to make one of nothing', async () => {
    await expect(indexOf([`${near.host}/app:all`], [])).rejects.toMatchObject({ code: 'ERR_USAGE' })
  })
})
