import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeOfficial } from './official.ts'
import { type Answer, openPlaces, type Place, type Places } from './places.ts'

const types = {
  image: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  empty: 'application/vnd.oci.empty.v1+json',
  foreign: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
}
type Algorithm = 'sha256' | 'sha512'
const digestOf = (bytes: Uint8Array | string, algorithm: Algorithm = 'sha256') =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`

let places: Places
beforeAll(async () => {
  places = await openPlaces('groups')
})
afterAll(() => places?.close())

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly [more: string]: unknown
}

/** Content that is pushed as one: blobs, then manifests, then tags. */
class Content {
  readonly blobs = new Map<string, Buffer>()
  readonly manifests: {
    readonly type: string
    readonly digest: string
    readonly bytes: Buffer
    readonly tag?: string
  }[] = []
  readonly algorithm: Algorithm
  constructor(algorithm: Algorithm = 'sha256') {
    this.algorithm = algorithm
  }

  blob(mediaType: string, bytes = randomBytes(300)): Descriptor {
    const digest = digestOf(bytes, this.algorithm)
    this.blobs.set(digest, bytes)
    return { mediaType, digest, size: bytes.length }
  }

  manifest(type: string, value: object, tag?: string): Descriptor {
    const bytes = Buffer.from(
      JSON.stringify(
        { schemaVersion: 2, mediaType: type, nonce: randomBytes(8).toString('hex'), ...value },
        null,
        1,
      ),
    )
    const digest = digestOf(bytes, this.algorithm)
    this.manifests.push({ type, digest, bytes, ...(tag === undefined ? {} : { tag }) })
    return { mediaType: type, digest, size: bytes.length }
  }

  image(more: object = {}, tag?: string): Descriptor {
    const layers = [this.blob(types.layer), this.blob(types.layer)]
    return this.manifest(
      types.image,
      { config: this.blob(types.config, Buffer.from('{"os":"linux"}')), layers, ...more },
      tag,
    )
  }

  artifact(more: object = {}, tag?: string): Descriptor {
    const config = this.blob(types.empty, Buffer.from('{}'))
    const layers = [this.blob('application/vnd.example.data')]
    return this.manifest(
      types.image,
      { artifactType: 'application/vnd.example', config, layers, ...more },
      tag,
    )
  }
}

/** The kinds of content, as the official programme has them. */
const kinds: Readonly<Record<string, () => Content>> = {
  image: () => withContent((all) => all.image({}, 'image')),
  'image uncompressed': () =>
    withContent((all) => {
      const layers = [all.blob('application/vnd.oci.image.layer.v1.tar')]
      all.manifest(types.image, { config: all.blob(types.config), layers }, 'uncompressed')
    }),
  'large manifest': () =>
    withContent((all) => all.image({ annotations: { large: 'A'.repeat(3_900_000) } }, 'large')),
  index: () =>
    withContent((all) => all.manifest(types.index, { manifests: [all.image(), all.image()] }, 'index')),
  'nested index': () =>
    withContent((all) => {
      const inner = () => all.manifest(types.index, { manifests: [all.image(), all.image()] })
      all.manifest(types.index, { manifests: [inner(), inner()] }, 'nested')
    }),
  'empty index': () => withContent((all) => all.manifest(types.index, { manifests: [] }, 'empty')),
  artifact: () => withContent((all) => all.artifact({}, 'artifact')),
  'artifact index': () =>
    withContent((all) =>
      all.manifest(
        types.index,
        { artifactType: 'application/vnd.example', manifests: [all.artifact(), all.artifact()] },
        'artifacts',
      ),
    ),
  'artifacts with subject': () =>
    withContent((all) => {
      const subject = all.image({}, 'subject')
      all.image({ subject })
      all.artifact({ subject, annotations: { of: 'it' } }, 'about-1')
      all.artifact({ subject, artifactType: 'application/vnd.example.other' }, 'about-2')
    }),
  'index with subject': () =>
    withContent((all) => {
      const subject = all.manifest(types.index, { manifests: [all.image()] }, 'subject-index')
      all.manifest(
        types.index,
        { artifactType: 'application/vnd.example', manifests: [all.artifact()], subject },
        'about-index',
      )
    }),
  'missing subject': () =>
    withContent((all) => {
      const subject = { mediaType: types.image, digest: digestOf(randomBytes(9)), size: 123 }
      all.artifact({ subject }, 'about-nothing')
    }),
  'data field': () =>
    withContent((all) => {
      const bytes = randomBytes(50)
      const layers = [{ ...all.blob(types.layer, bytes), data: bytes.toString('base64') }]
      all.manifest(types.image, { config: all.blob(types.config), layers }, 'data')
    }),
  'layers of elsewhere': () =>
    withContent((all) => {
      const elsewhere = {
        mediaType: types.foreign,
        digest: digestOf(randomBytes(9)),
        size: 9,
        urls: ['https://store.example/x'],
      }
      all.manifest(
        types.image,
        { config: all.blob(types.config), layers: [elsewhere, all.blob(types.layer)] },
        'foreign',
      )
    }),
  'custom fields': () =>
    withContent((all) =>
      all.manifest(
        types.index,
        { manifests: [{ ...all.image({ own: { x: [1] } }), own: 1 }], own: true },
        'custom',
      ),
    ),
  'no layers': () =>
    withContent((all) =>
      all.manifest(types.image, { config: all.blob(types.config), layers: [] }, 'no-layers'),
    ),
  sha512: () =>
    withContent(
      (all) => all.manifest(types.index, { manifests: [all.image(), all.image()] }, 'long'),
      'sha512',
    ),
}

function withContent(fill: (all: Content) => unknown, algorithm?: Algorithm): Content {
  const content = new Content(algorithm)
  fill(content)
  return content
}

const ways = [
  'post',
  'post and put',
  'one chunk',
  'chunks',
  'chunks, the last with the put',
  'stream',
] as const

/** Sends a blob in one of the ways of the specification. */
async function sendBlob(
  place: Place,
  name: string,
  bytes: Buffer,
  digest: string,
  way: (typeof ways)[number],
): Promise<Answer> {
  const uploads = `/v2/${name}/blobs/uploads/`
  if (way === 'post') return place.ask('POST', `${uploads}?digest=${digest}`, { body: bytes })
  const begun = await place.ask('POST', uploads, { headers: { 'content-length': '0' } })
  expect(begun.status).toBe(202)
  let location = begun.headers.location ?? ''
  const finish = (body?: Buffer, headers = {}) =>
    place.ask('PUT', `${location}?digest=${digest}`, { body: body ?? '', headers })
  if (way === 'post and put') return finish(bytes)
  if (way === 'stream') {
    const patched = await place.ask('PATCH', location, { body: bytes, chunked: true })
    expect(patched.status).toBe(202)
    location = patched.headers.location ?? ''
    return finish()
  }
  const step = way === 'one chunk' ? Math.max(1, bytes.length) : Math.ceil(bytes.length / 3)
  for (let start = 0; start < bytes.length; start += step) {
    const part = bytes.subarray(start, start + step)
    const headers = { 'content-range': `${start}-${start + part.length - 1}` }
    if (way !== 'one chunk') {
      const wrong = { 'content-range': `${start + 1}-${start + part.length}` }
      const refused = await place.ask('PATCH', location, { body: part, headers: wrong })
      expect([refused.status, refused.headers.location]).toEqual([416, location])
    }
    const isLast = start + step >= bytes.length
    if (isLast && way === 'chunks, the last with the put') return finish(part, headers)
    const patched = await place.ask('PATCH', location, { body: part, headers })
    expect([patched.status, patched.headers.range]).toEqual([202, `0-${start + part.length - 1}`])
    location = patched.headers.location ?? ''
  }
  return finish()
}

describe.each(['plain', 'behind nginx with TLS and a base path'] as const)('%s', (where) => {
  const at = (): Place => places.of(where)
  const ask: Place['ask'] = (...all) => at().ask(...all)

  it('GET /v2/ is answered', async () => {
    expect((await ask('GET', '/v2/')).status).toBe(200)
  })

  describe.each(['sha256', 'sha512'] as const)('blobs of %s', (algorithm) => {
    const name = `blobs/${algorithm}`
    it.each(ways)('%s', async (way) => {
      for (const size of [1, 512, 4097]) {
        const bytes = randomBytes(size)
        const digest = digestOf(bytes, algorithm)
        expect((await ask('GET', `/v2/${name}/blobs/${digest}`)).status).toBe(404)
        const sent = await sendBlob(at(), name, bytes, digest, way)
        expect([sent.status, sent.headers['docker-content-digest']]).toEqual([201, digest])
        for (const path of [sent.headers.location ?? '', `/v2/${name}/blobs/${digest}`]) {
          expect((await ask('GET', path)).body).toEqual(bytes)
          const head = await ask('HEAD', path)
          expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, `${size}`, 0])
        }
        const wrong = await sendBlob(at(), name, bytes, digestOf(randomBytes(5), algorithm), way)
        expect([wrong.status, JSON.parse(wrong.body.toString()).errors[0].code]).toEqual([
          400,
          'DIGEST_INVALID',
        ])
        expect((await ask('DELETE', `/v2/${name}/blobs/${digest}`)).status).toBe(202)
        expect((await ask('HEAD', `/v2/${name}/blobs/${digest}`)).status).toBe(404)
      }
    })

    it('of no bytes, cancelled, mounted, mounted from anywhere, mounted from nowhere', async () => {
      const empty = digestOf('', algorithm)
      expect((await sendBlob(at(), name, Buffer.alloc(0), empty, 'post and put')).status).toBe(201)
      expect((await ask('GET', `/v2/${name}/blobs/${empty}`)).body).toHaveLength(0)
      const begun = await ask('POST', `/v2/${name}/blobs/uploads/`)
      expect((await ask('DELETE', begun.headers.location ?? '')).status).toBe(204)
      expect((await ask('GET', begun.headers.location ?? '')).status).toBe(404)
      const bytes = randomBytes(100)
      const digest = digestOf(bytes, algorithm)
      await sendBlob(at(), name, bytes, digest, 'post')
      for (const [target, from] of [
        ['mounted', `&from=${name}`],
        ['anonymous', ''],
      ]) {
        const mounted = await ask('POST', `/v2/${target}/blobs/uploads/?mount=${digest}${from}`)
        expect([target, mounted.status]).toEqual([target, 201])
        expect((await ask('GET', mounted.headers.location ?? '')).body).toEqual(bytes)
      }
      const missing = digestOf(randomBytes(3), algorithm)
      const refused = await ask('POST', `/v2/mounted/blobs/uploads/?mount=${missing}&from=${name}`)
      expect([refused.status, refused.headers.location === undefined]).toEqual([202, false])
    })

    it.each([
      ['bytes=0-99', 206, 0, 99],
      ['bytes=100-', 206, 100, 511],
      ['bytes=-12', 206, 500, 511],
      ['bytes=500-9999', 206, 500, 511],
      ['bytes=512-', 416, 0, -1],
      ['bytes=0-0,2-2', 200, 0, 511],
    ] as const)('range %s is answered %s', async (range, status, start, end) => {
      const bytes = randomBytes(512)
      const digest = digestOf(bytes, algorithm)
      await sendBlob(at(), name, bytes, digest, 'post')
      const answer = await ask('GET', `/v2/${name}/blobs/${digest}`, { headers: { range } })
      expect(answer.status).toBe(status)
      if (status !== 416) expect(answer.body).toEqual(bytes.subarray(start, end + 1))
    })
  })

  describe.each(Object.entries(kinds))('%s', (kind, make) => {
    const name = `kinds/${kind.replaceAll(' ', '-')}`
    const content = make()

    it('is pushed', async () => {
      for (const [digest, bytes] of content.blobs) {
        expect((await sendBlob(at(), name, bytes, digest, 'post and put')).status).toBe(201)
      }
      for (const { type, digest, bytes, tag } of content.manifests) {
        const subject = JSON.parse(bytes.toString()).subject?.digest
        const reference = tag === undefined || content.algorithm === 'sha512' ? digest : tag
        const query = reference === digest && tag !== undefined ? `?tag=${tag}` : ''
        const answer = await ask('PUT', `/v2/${name}/manifests/${reference}${query}`, {
          body: bytes,
          headers: { 'content-type': type },
        })
        expect([
          answer.status,
          answer.headers['docker-content-digest'],
          answer.headers['oci-subject'],
        ]).toEqual([201, digest, subject])
        const got = await ask('GET', answer.headers.location ?? '')
        expect([got.status, got.headers['content-type']]).toEqual([200, type])
        expect(digestOf(got.body)).toBe(digestOf(bytes))
      }
    })

    it('is listed by its tags', async () => {
      const tags = content.manifests.flatMap(({ tag }) => (tag === undefined ? [] : [tag])).sort()
      const list = async (query: string) =>
        JSON.parse((await ask('GET', `/v2/${name}/tags/list${query}`)).body.toString()).tags
      expect(await list('')).toEqual(tags)
      expect(await list('?n=1')).toEqual(tags.slice(0, 1))
      expect(await list(`?n=10&last=${tags[0]}`)).toEqual(tags.slice(1))
      expect(await list('?n=0')).toEqual([])
    })

    it('is asked about and pulled', async () => {
      for (const { type, digest, bytes, tag } of content.manifests) {
        for (const reference of tag === undefined ? [digest] : [digest, tag]) {
          const head = await ask('HEAD', `/v2/${name}/manifests/${reference}`)
          expect([head.status, head.headers['content-type'], head.headers['content-length']]).toEqual([
            200,
            type,
            `${bytes.length}`,
          ])
          const got = await ask('GET', `/v2/${name}/manifests/${reference}`, {
            headers: { accept: `${types.index}, ${types.image}` },
          })
          expect(digestOf(got.body)).toBe(digestOf(bytes))
        }
      }
      for (const [digest, bytes] of content.blobs)
        expect((await ask('GET', `/v2/${name}/blobs/${digest}`)).body).toEqual(bytes)
    })

    it('is found by its subject', async () => {
      const bySubject = new Map<string, Descriptor[]>()
      for (const { type, digest, bytes } of content.manifests) {
        const { subject, artifactType, config, annotations } = JSON.parse(bytes.toString())
        const found = { mediaType: type, digest, size: bytes.length }
        const about = artifactType ?? config?.mediaType
        const descriptor = {
          ...found,
          ...(about && { artifactType: about }),
          ...(annotations && { annotations }),
        }
        if (!bySubject.has(digest)) bySubject.set(digest, [])
        if (subject !== undefined)
          bySubject.set(subject.digest, [...(bySubject.get(subject.digest) ?? []), descriptor])
      }
      for (const [subject, wanted] of bySubject) {
        const answer = await ask('GET', `/v2/${name}/referrers/${subject}`)
        const listed: Descriptor[] = JSON.parse(answer.body.toString()).manifests
        const byDigest = (a: Descriptor, b: Descriptor) => (a.digest < b.digest ? -1 : 1)
        expect([answer.status, answer.headers['content-type']]).toEqual([200, types.index])
        expect(listed.sort(byDigest)).toEqual([...wanted].sort(byDigest))
        for (const { artifactType } of wanted) {
          const filtered = await ask('GET', `/v2/${name}/referrers/${subject}?artifactType=${artifactType}`)
          expect(filtered.headers['oci-filters-applied']).toBe('artifactType')
          const same = wanted.filter((one) => one.artifactType === artifactType)
          expect(JSON.parse(filtered.body.toString()).manifests).toHaveLength(same.length)
        }
      }
    })

    it('is deleted', async () => {
      for (const { digest, tag } of [...content.manifests].reverse()) {
        if (tag !== undefined) {
          expect((await ask('DELETE', `/v2/${name}/manifests/${tag}`)).status).toBe(202)
          expect((await ask('HEAD', `/v2/${name}/manifests/${tag}`)).status).toBe(404)
          expect((await ask('HEAD', `/v2/${name}/manifests/${digest}`)).status).toBe(200)
        }
        expect((await ask('DELETE', `/v2/${name}/manifests/${digest}`)).status).toBe(202)
        expect((await ask('HEAD', `/v2/${name}/manifests/${digest}`)).status).toBe(404)
      }
      for (const digest of content.blobs.keys()) {
        expect((await ask('DELETE', `/v2/${name}/blobs/${digest}`)).status).toBe(202)
        expect((await ask('HEAD', `/v2/${name}/blobs/${digest}`)).status).toBe(404)
      }
    })
  })
})

const programme = process.env.TSBUILD_OCI_CONFORMANCE
if (programme !== undefined) describeOfficial(programme)
