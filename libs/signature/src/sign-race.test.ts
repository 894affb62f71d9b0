import { mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { createRegistryClient } from '@tsbuild/registry'
import { startFakeRegistry } from '@tsbuild/registry/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { generateSigningKeyPair, publicHalf, readSigningKey } from './keys.ts'
import { registryPlace } from './registry-place.ts'
import { signImage } from './sign-image.ts'
import type { VerifyingKey } from './types.ts'
import { verifyImage } from './verify-image.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const makeKey = async () =>
  await readSigningKey((await generateSigningKeyPair('')).privateKey, 'k', async () => '')
const [mine, other, third] = await Promise.all([makeKey(), makeKey(), makeKey()])

async function setUp(conditions: boolean) {
  const registry = await startFakeRegistry({ conditions })
  cleanups.push(registry.stop)
  const image = parseReference(`${registry.host}/app:1`)
  const place = (sleep: () => Promise<void> = async () => undefined) => {
    const client = createRegistryClient({ sleep: async () => undefined })
    cleanups.push(() => client.close())
    return registryPlace(client, undefined, { now: () => 0, random: () => 0, sleep })
  }
  const config = await place().putBlob(image, mediaTypes.ociConfig, Buffer.from('{}'))
  const manifest = { mediaType: mediaTypes.ociManifest, config, layers: [], annotations: {} }
  await place().putManifest(image, mediaTypes.ociManifest, serializeManifest(manifest))
  const isSignedBy = async (key: VerifyingKey) =>
    (await verifyImage(place(), image, { key })).signatures.length === 1
  return { registry, image, place, isSignedBy }
}

describe('signImage() loses nothing', () => {
  it('that another one signs between its reading and its writing, where the registry looks at If-Match', async () => {
    const { registry, image, place, isSignedBy } = await setUp(true)
    registry.fault({
      method: 'PUT',
      path: /manifests\/sha256-[0-9a-f]{64}\.sig$/,
      act: async ({ next }) => {
        await signImage(place(), image, { key: other })
        await next()
      },
    })
    await signImage(place(), image, { key: mine })
    expect(registry.pendingFaults()).toBe(0)
    for (const key of [mine, other]) expect(await isSignedBy(publicHalf(key))).toBe(true)
  })

  it('that another one signs before it writes, and nothing of its own that another one writes over', async () => {
    const { registry, image, place, isSignedBy } = await setUp(false)
    const isTag = (name: string) => name.endsWith('.sig')
    await signImage(place(), image, { key: other })
    const [tag = '', ofOther] = [...registry.manifests].find(([name]) => isTag(name)) ?? []
    registry.manifests.delete(tag)
    registry.fault({
      method: 'HEAD',
      path: /\.sig$/,
      act: async ({ next }) => {
        await signImage(place(), image, { key: third })
        await next()
      },
    })
    let pauses = 0
    const sleep = async () => {
      // Who read the tag when it was not there writes late.
      if (++pauses === 2 && ofOther !== undefined) registry.manifests.set(tag, ofOther)
    }
    await signImage(place(sleep), image, { key: mine })
    expect([registry.pendingFaults(), pauses > 2]).toEqual([0, true])
    for (const key of [mine, other]) expect(await isSignedBy(publicHalf(key))).toBe(true)
  })
})
