import { randomBytes } from 'node:crypto'
import { createRegistryClient } from '@tsbuild/registry'
import { hasDockerRegistry, type RealRegistry, startDockerRegistry } from '@tsbuild/registry/testing'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { put, read, runObjectStoreContract } from '../testing/contract.ts'
import { hostileKeys, keysInOrder } from '../testing/keys.ts'
import { temporaryDirectory } from '../testing/temporary-store.ts'
import { keyOfTag, tagOfKey } from './object-manifest.ts'
import { openOciStore } from './open-oci-store.ts'

let registry: RealRegistry | undefined
beforeAll(async () => {
  if (hasDockerRegistry()) registry = await startDockerRegistry()
})
afterAll(() => registry?.stop())

let repositories = 0

async function openUnderTest(host: string) {
  let nowMs = 1_700_000_000_123
  const local = temporaryDirectory()
  const reference = { registry: host, repository: `objects/${++repositories}` }
  const another = async () => {
    const client = createRegistryClient({ insecureHosts: [host], retry: { attempts: 1 } })
    const randomId = () => randomBytes(16).toString('hex')
    const store = await openOciStore({ client, reference, local, now: () => nowMs, randomId })
    onTestFinished(async () => {
      await store.close()
      await client.close()
    })
    return store
  }
  return {
    store: await another(),
    another,
    advance: (ms: number) => {
      nowMs += ms
    },
  }
}

describe.skipIf(!hasDockerRegistry())('openOciStore() in docker-registry', () => {
  runObjectStoreContract(() => openUnderTest(registry?.host ?? ''))

  it('says that the storage cannot be reached where the registry does not answer', async () => {
    const { store } = await openUnderTest('127.0.0.1:1')
    await expect(store.head('a')).rejects.toMatchObject({
      code: 'ERR_STORAGE_UNAVAILABLE',
      kind: 'environment',
    })
    await expect(put(store, 'a', 'x')).rejects.toMatchObject({ code: 'ERR_STORAGE_UNAVAILABLE' })
  })

  it('takes no tag of somebody else for an object', async () => {
    const { store } = await openUnderTest(registry?.host ?? '')
    await put(store, 'a', 'x')
    const url = `http://${registry?.host}/v2/objects/${repositories}/manifests`
    const type = 'application/vnd.oci.image.manifest.v1+json'
    const own = await fetch(`${url}/Ka`, { headers: { accept: type } })
    const body = (await own.text()).replace('vnd.tsbuild.object.v1', 'vnd.example.other.v1')
    for (const tag of ['Kb', 'other'])
      await fetch(`${url}/${tag}`, { method: 'PUT', headers: { 'content-type': type }, body })
    expect(await store.head('b')).toBeUndefined()
    const keys: string[] = []
    for await (const { key } of store.list('')) keys.push(key)
    expect(keys).toEqual(['a'])
    expect(await read(store, 'a')).toBe('x')
  })
})

describe('tagOfKey()', () => {
  it('gives every key a tag of its own, from which the key comes back', () => {
    const tags = keysInOrder.map(tagOfKey)
    expect(new Set(tags).size).toBe(keysInOrder.length)
    for (const tag of tags) expect(tag).toMatch(/^\w[\w.-]{0,127}$/)
    expect(tags.map(keyOfTag)).toEqual(keysInOrder.map((key) => (key.length < 128 ? key : 'unknown')))
    for (const key of hostileKeys) expect(keyOfTag(`K${key}`)).toBeUndefined()
  })
})
