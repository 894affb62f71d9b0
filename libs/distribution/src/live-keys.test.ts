import { createHash } from 'node:crypto'
import { memoryStore } from '@tsbuild/object-store/testing'
import { describe, expect, it } from 'vitest'
import {
  blobLinkKey,
  contentKey,
  decodeTag,
  encodeTag,
  manifestLinkKey,
  parseDistributionKey,
  tagKey,
} from './layout.ts'
import { liveKeys, repositoryNames } from './live-keys.ts'
import { type ContentDigest, isRepositoryName, parseContentDigest } from './names.ts'
import { Repositories } from './repositories.ts'

const digestOf = (bytes: string) =>
  parseContentDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`) as ContentDigest

describe('liveKeys()', () => {
  it('gives what tags, subjects and roots lead to, and nothing else', async () => {
    const repositories = new Repositories(memoryStore(), Date.now)
    const blob = async (text: string) => {
      const digest = digestOf(text)
      await repositories.store.putIfAbsent(contentKey(digest), Buffer.from(text), { sha256: digest.hex })
      await repositories.linkBlob('r', digest, text.length)
      return digest
    }
    const image = async (layer: string, extra: object = {}) => {
      const parts = {
        config: { digest: (await blob('{}')).text },
        layers: [{ digest: (await blob(layer)).text }],
      }
      const bytes = JSON.stringify({ schemaVersion: 2, ...parts, ...extra })
      const digest = digestOf(bytes)
      const mediaType = 'application/vnd.oci.image.manifest.v1+json'
      await repositories.putManifest('r', { digest, mediaType }, Buffer.from(bytes))
      return digest
    }
    const tagged = await image('tagged')
    await repositories.changeTag('r', 'v1', null, tagged)
    const untagged = await image('untagged')
    const about = await image('about', { subject: { digest: tagged.text } })
    const descriptor = { mediaType: 'x/y', digest: about.text, size: 1 }
    await repositories.putReferrer('r', tagged, { v: 1, subject: tagged.text, descriptor })
    const loose = await blob('loose')
    const record = await blob('record')
    const live = await liveKeys(repositories, 'r', { blobs: [record] })
    for (const digest of [tagged, about]) {
      expect(live).toContain(manifestLinkKey('r', digest))
      expect(live).toContain(contentKey(digest))
    }
    for (const text of ['{}', 'tagged', 'about', 'record'])
      expect(live).toContain(blobLinkKey('r', digestOf(text)))
    expect(live).toContain(tagKey('r', 'v1'))
    for (const key of [
      manifestLinkKey('r', untagged),
      blobLinkKey('r', loose),
      contentKey(digestOf('untagged')),
    ])
      expect(live).not.toContain(key)
    const all: string[] = []
    for await (const { key } of repositories.store.list('')) all.push(key)
    expect(all.filter((key) => !live.has(key))).toHaveLength(6)
    expect(all.map((key) => parseDistributionKey(key)?.kind)).not.toContain(undefined)
    const names: string[] = []
    for await (const name of repositoryNames(repositories)) names.push(name)
    expect(names).toEqual(['r'])
  })
})

describe('keys', () => {
  it('of tags are in the order of the tags, and lead back to them', () => {
    let seed = 7
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    const first = 'ABYZ_az09'
    const letters = `${first}.-`
    const tags = new Set<string>()
    while (tags.size < 2000) {
      const length = random(3) === 0 ? random(128) : random(5)
      let tag = first[random(first.length)] ?? ''
      for (let at = 1; at < length; at += 1) tag += letters[random(random(2) === 0 ? 4 : letters.length)]
      tags.add(tag)
    }
    const sorted = [...tags].sort()
    expect([...tags].map(encodeTag).sort().map(decodeTag)).toEqual(sorted)
    for (const tag of tags)
      expect(encodeTag(tag)).toMatch(/^[a-z0-9_-][a-z0-9._-]{0,199}(\/[a-z0-9_-][a-z0-9._-]{0,199})?$/)
    for (const wrong of ['A', '_', 'a_', 'a_/x', '_Z', 'a/b', '_q'])
      expect([wrong, decodeTag(wrong)]).toEqual([wrong, undefined])
  })

  it('fit, with the longest of names', () => {
    const name = `${'a'.repeat(200)}/${'b'.repeat(54)}`
    expect([isRepositoryName(name), isRepositoryName(`${name}b`), isRepositoryName('a'.repeat(201))]).toEqual(
      [true, false, false],
    )
    const sha512 = parseContentDigest(`sha512:${'0'.repeat(128)}`) as ContentDigest
    expect(manifestLinkKey(name, sha512).length).toBeLessThanOrEqual(512)
    for (const bad of [
      '',
      'A',
      'a//b',
      '/a',
      'a/',
      'a/../b',
      '.a',
      'a.',
      'a__',
      'a___b',
      'a\n',
      '_a',
      'a/_b',
    ])
      expect([bad, isRepositoryName(bad)]).toEqual([bad, false])
    for (const good of ['a', 'a/b', 'a__b', 'a---b', 'a.b_c-d', '0/1/2'])
      expect([good, isRepositoryName(good)]).toEqual([good, true])
  })
})
