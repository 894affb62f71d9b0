import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { temporaryStore } from './testing/temporary-store.ts'

const image = (name: string) => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: digestBytes(name),
  size: name.length,
  platform: { os: 'linux', architecture: 'amd64' },
})
const one = 'docker.io/library/one:1'
const two = 'docker.io/library/two:1'

describe('IndexFileImages', () => {
  it('set() names an image in index.json for us and for other tools', async () => {
    const { images, root } = await temporaryStore()
    await images.set([one, two], { ...image('a'), annotations: { keep: 'this' } })
    expect(await images.get(one)).toEqual({ ...image('a'), annotations: { keep: 'this' } })
    expect((await images.list()).map(({ name }) => name)).toEqual([one, two])
    expect(JSON.parse(readFileSync(join(root, 'v1', 'index.json'), 'utf8'))).toEqual({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [one, two].map((name) => ({
        ...image('a'),
        annotations: {
          keep: 'this',
          'org.opencontainers.image.ref.name': name,
          'io.containerd.image.name': name,
        },
      })),
    })
  })

  it('keep() lists an image without a name once, until it gets one or forget() takes it out', async () => {
    const { images } = await temporaryStore()
    const unnamed = () =>
      images.all().flatMap(({ name, descriptor }) => (name === undefined ? [descriptor] : []))
    for (const _ of [1, 2]) await images.keep(image('a'))
    await images.keep(image('b'))
    expect(unnamed()).toEqual([image('a'), image('b')])
    expect(await images.list()).toEqual([])
    await images.set([one], image('a'))
    await images.keep(image('a'))
    expect(unnamed()).toEqual([image('b')])
    expect([await images.forget(image('a').digest), await images.forget(image('b').digest)]).toEqual([
      false,
      true,
    ])
    expect(images.all()).toEqual([{ ...images.all()[0], name: one, descriptor: image('a') }])
  })

  it('set() moves a name, and remove() says whether it was there', async () => {
    const { images } = await temporaryStore()
    await images.set([one, two], image('a'))
    await images.set([one], image('b'))
    expect([await images.get(one), await images.get(two)]).toEqual([image('b'), image('a')])
    expect([await images.remove(one), await images.remove(one)]).toEqual([true, false])
    expect(await images.get(one)).toBeUndefined()
    expect(await images.list()).toHaveLength(1)
  })

  it('set() of what is there leaves the file alone', async () => {
    const { images, root } = await temporaryStore()
    await images.set([one], image('a'))
    const before = statSync(join(root, 'v1', 'index.json')).ino
    await images.set([one], image('a'))
    expect(statSync(join(root, 'v1', 'index.json')).ino).toBe(before)
  })

  it('set() loses no name when many are set at once', async () => {
    const { images } = await temporaryStore()
    const names = Array.from({ length: 20 }, (_, index) => `docker.io/library/many:${index}`)
    await Promise.all(names.map((name) => images.set([name], image(name))))
    expect((await images.list()).map(({ name }) => name).toSorted()).toEqual(names.toSorted())
  })

  it('set() keeps what other tools wrote', async () => {
    const { images, root } = await temporaryStore()
    const path = join(root, 'v1', 'index.json')
    const foreign = { ...image('x'), artifactType: 'application/spdx+json', urls: [] }
    writeFileSync(path, JSON.stringify({ schemaVersion: 2, manifests: [foreign] }))
    await images.set([one], image('a'))
    expect(JSON.parse(readFileSync(path, 'utf8')).manifests[0]).toEqual(foreign)
    expect(await images.list()).toHaveLength(1)
  })

  it.each([
    '',
    '{',
    '[]',
    '{"schemaVersion":2,"manifests":{}}',
    '{"schemaVersion":2,"manifests":[{"size":1}]}',
  ])('get() refuses the list %j and says what to do', async (text) => {
    const { images, root } = await temporaryStore()
    const path = join(root, 'v1', 'index.json')
    writeFileSync(path, text)
    const error = { code: 'ERR_STORE_CORRUPT', kind: 'environment', details: { path } }
    await expect(images.get(one)).rejects.toMatchObject(error)
    await expect(images.set([one], image('a'))).rejects.toMatchObject(error)
    await expect(images.remove(one)).rejects.toMatchObject(error)
    expect(readFileSync(path, 'utf8')).toBe(text)
    rmSync(path)
    await images.set([one], image('a'))
    expect(await images.get(one)).toEqual(image('a'))
  })
})
