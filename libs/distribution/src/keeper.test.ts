import { createHash } from 'node:crypto'
import { memoryStore } from '@tsbuild/object-store/testing'
import { describe, expect, it } from 'vitest'
import { repositoryKeeper } from './keeper.ts'
import {
  blobLinkKey,
  contentKey,
  manifestLinkKey,
  parseDistributionKey,
  referrerKey,
  tagKey,
} from './layout.ts'
import { type ContentDigest, parseContentDigest } from './names.ts'
import { Repositories } from './repositories.ts'

const never = new AbortController().signal
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'
const digestOf = (bytes: string) =>
  parseContentDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`) as ContentDigest

function openWorld() {
  const store = memoryStore({ now: () => 1_700_000_000_000 })
  const repositories = new Repositories(store, () => 1_700_000_000_000)
  const blob = async (name: string, text: string) => {
    const digest = digestOf(text)
    await store.putIfAbsent(contentKey(digest), Buffer.from(text), { sha256: digest.hex })
    await repositories.linkBlob(name, digest, text.length)
    return digest
  }
  const manifest = async (name: string, value: object, mediaType = manifestType) => {
    const bytes = JSON.stringify({ schemaVersion: 2, mediaType, ...value })
    const digest = digestOf(bytes)
    await repositories.putManifest(name, { digest, mediaType }, Buffer.from(bytes))
    return digest
  }
  const image = async (name: string, layer: string, extra: object = {}) => {
    const [config, own] = [await blob(name, '{}'), await blob(name, layer)]
    const digest = await manifest(name, {
      config: { digest: config.text },
      layers: [{ digest: own.text }],
      ...extra,
    })
    return { digest, holds: [contentKey(digest), blobLinkKey(name, config), blobLinkKey(name, own)] }
  }
  const keeper = repositoryKeeper({
    store,
    kept: 'kept',
    retentionOf: (repository, isTagged) => `${repository} ${isTagged ? 'tagged' : 'untagged'}`,
    waitMs: (repository) => repository.length,
  })
  const holders = async () => {
    const found = new Map<string, { holds: readonly string[]; retention: string; version: string }>()
    for await (const { key, ...rest } of keeper.holders(never)) found.set(key, rest)
    return found
  }
  return { store, repositories, blob, manifest, image, keeper, holders }
}

describe('repositoryKeeper()', () => {
  it('holders() says what each manifest holds, and which stay with others', async () => {
    const { repositories, image, manifest, holders } = openWorld()
    const tagged = await image('a', 'tagged')
    await repositories.changeTag('a', 'Latest_1', null, tagged.digest)
    const untagged = await image('a/b', 'untagged')
    const child = await image('a', 'child')
    const index = await manifest('a', { manifests: [{ digest: child.digest.text }] }, indexType)
    const about = await image('a', 'about', { subject: { digest: tagged.digest.text } })
    const aboutNothing = await image('a', 'about nothing', { subject: { digest: digestOf('gone').text } })
    const found = await holders()
    const wanted = [
      ['a', tagged.digest, tagged.holds, 'a tagged'],
      ['a/b', untagged.digest, untagged.holds, 'a/b untagged'],
      ['a', child.digest, child.holds, 'kept'],
      ['a', index, [contentKey(index)], 'a untagged'],
      ['a', about.digest, about.holds, 'kept'],
      ['a', aboutNothing.digest, aboutNothing.holds, 'a untagged'],
    ] as const
    expect(found.size).toBe(wanted.length)
    for (const [name, digest, holds, retention] of wanted)
      expect(found.get(manifestLinkKey(name, digest))).toMatchObject({ holds, retention })
  })

  it('holders() says what a manifest holds that was sent again under a type that nobody knows', async () => {
    const { repositories, image, manifest, holders } = openWorld()
    const { digest, holds } = await image('a', 'layer')
    const bytes = await repositories.readContent(digest)
    if (bytes === undefined) throw new Error('no manifest')
    const put = (mediaType: string) => repositories.putManifest('a', { digest, mediaType }, bytes)
    await put('application/x-unknown')
    expect(await repositories.findManifest('a', digest)).toMatchObject({ mediaType: manifestType })
    expect((await holders()).get(manifestLinkKey('a', digest))).toMatchObject({ holds })
    // Among types that are known, and among those that are not, the last word counts; a known one comes after any.
    const docker = 'application/vnd.docker.distribution.manifest.v2+json'
    await put(docker)
    expect(await repositories.findManifest('a', digest)).toMatchObject({ mediaType: docker })
    const other = await manifest('a', { config: {} }, 'application/x-first')
    const again = (mediaType: string) =>
      repositories.putManifest('a', { digest: other, mediaType }, Buffer.from('of no matter: it is there'))
    await again('application/x-second')
    expect(await repositories.findManifest('a', other)).toMatchObject({ mediaType: 'application/x-second' })
    await again(manifestType)
    expect(await repositories.findManifest('a', other)).toMatchObject({ mediaType: manifestType })
  })

  it('holders() holds no more than the bytes of a manifest that makes no sense any more', async () => {
    const { store, image, holders } = openWorld()
    const { digest } = await image('a', 'layer')
    await store.delete(contentKey(digest))
    expect((await holders()).get(manifestLinkKey('a', digest))?.holds).toEqual([contentKey(digest)])
  })

  it('evict() takes the tags and the entry at its subject with it, and leaves what was touched', async () => {
    const { store, repositories, image, keeper, holders } = openWorld()
    const subject = await image('a', 'subject')
    const one = await image('a', 'one', { subject: { digest: subject.digest.text } })
    await repositories.changeTag('a', 'one', null, one.digest)
    await repositories.changeTag('a', 'other', null, subject.digest)
    const descriptor = { mediaType: manifestType, digest: one.digest.text, size: 1 }
    await repositories.putReferrer('a', subject.digest, { v: 1, subject: subject.digest.text, descriptor })
    const key = manifestLinkKey('a', one.digest)
    const { version = '' } = (await holders()).get(key) ?? {}
    expect(await keeper.evict([{ key, version }], 1_600_000_000_000, never)).toEqual([])
    expect(await repositories.readTag('a', 'one')).toBeDefined()
    expect(await keeper.evict([{ key, version }], 1_800_000_000_000, never)).toEqual([key])
    expect(await repositories.readTag('a', 'one')).toBeUndefined()
    expect(await store.head(tagKey('a', 'other'))).toBeDefined()
    expect(await store.head(referrerKey('a', subject.digest, one.digest))).toBeUndefined()
  })

  it('sweeps know which objects may go, what they keep and how long they wait', async () => {
    const { store, image, repositories, keeper } = openWorld()
    const { digest } = await image('a', 'layer')
    await repositories.changeTag('a', 'v1', null, digest)
    const [links, contents] = keeper.sweeps
    for await (const { key } of store.list('')) {
      const parsed = parseDistributionKey(key)
      const isLink = parsed?.kind === 'blob'
      expect(links?.held(key), key).toEqual(isLink ? [contentKey(parsed.digest)] : undefined)
      expect(contents?.held(key), key).toEqual(parsed?.kind === 'content' ? [] : undefined)
      if (isLink) expect(links?.waitMs?.(key)).toBe(1)
    }
  })
})
