import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import { digestBytes } from '@tsbuild/digest'
import { mediaTypes, serializeIndex } from '@tsbuild/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEngine } from './open-engine.ts'
import { type FakeEngine, startFakeEngine, type TinyImage, tinyImage } from './testing/index.ts'
import type { EngineIdentity } from './types.ts'

let folder = ''
const started: FakeEngine[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-engine-'))
})
afterEach(async () => {
  await Promise.all(started.splice(0).map((fake) => fake.stop()))
  rmSync(folder, { recursive: true })
})

async function engineWith(identity: Parameters<typeof startFakeEngine>[1]) {
  const socket = join(folder, 'socket')
  const fake = await startFakeEngine(socket, identity)
  started.push(fake)
  return { fake, engine: await openEngine({ env: { DOCKER_HOST: `unix://${socket}` } }) }
}

function archiveOf(image: TinyImage, names: readonly string[]) {
  const opened: string[] = []
  const open = (digest: Digest) => {
    opened.push(digest)
    return Readable.from([image.blob(digest)])
  }
  return { image: { root: image.root, names, open }, opened }
}

const docker = { kind: 'docker', store: 'layers' } as const
const podman = { kind: 'podman', store: 'layers' } as const
const containerd = { kind: 'docker', store: 'content' } as const
const pathOf = (digest: string) => `blobs/sha256/${digest.slice(7)}`

describe('Engine.load()', () => {
  it.each<[string, EngineIdentity['kind'], string]>([
    ['leaves the files of layers out that Docker has in this order', 'docker', ''],
    ['puts empty files for layers that podman has', 'podman', ' (empty)'],
  ])('%s', async (_title, kind, mark) => {
    const { fake, engine } = await engineWith({ kind, store: 'layers' })
    await engine.load(archiveOf(tinyImage(['a', 'b']), ['app:1']).image)
    const wanted = tinyImage(['a', 'b', 'c'])
    const { image, opened } = archiveOf(wanted, ['app:2'])
    const result = await engine.load(image)
    const files = wanted.layers.map(({ digest }) => pathOf(digest))
    expect(fake.archives[1]).toEqual([
      'manifest.json',
      pathOf(wanted.config.digest),
      ...(mark === '' ? [] : files.slice(0, 2).map((file) => file + mark)),
      files[2],
    ])
    expect(opened).not.toContain(wanted.layers[0]?.digest)
    expect(result).toMatchObject({
      imageId: wanted.config.digest,
      names: ['docker.io/library/app:2'],
      layers: { total: 3, sent: 1 },
    })
  })

  it('sends a layer to Docker that lies on others there', async () => {
    const { fake, engine } = await engineWith(docker)
    await engine.load(archiveOf(tinyImage(['a', 'b']), ['app:1']).image)
    await engine.load(archiveOf(tinyImage(['b', 'a']), ['app:2']).image)
    expect(fake.archives[1]).toHaveLength(4)
  })

  it.each([docker, podman, containerd])(
    'sends nothing to %o for an image that it has, and names it',
    async (identity) => {
      const { fake, engine } = await engineWith(identity)
      await engine.load(archiveOf(tinyImage(['a']), ['app:1']).image)
      const result = await engine.load(archiveOf(tinyImage(['a']), ['app:2', 'host:5000/x/app']).image)
      expect(result).toMatchObject({ sentBytes: 0, layers: { total: 1, sent: 0 } })
      expect(fake.archives).toHaveLength(1)
      expect([...fake.images.values()][0]?.names).toEqual([
        'docker.io/library/app:1',
        'docker.io/library/app:2',
        'host:5000/x/app:latest',
      ])
    },
  )

  it('sends every layer when those that the engine named are gone by then', async () => {
    const { fake, engine } = await engineWith(docker)
    await engine.load(archiveOf(tinyImage(['a', 'b']), ['app:1']).image)
    fake.onLoad = () => {
      fake.images.clear()
      fake.onLoad = undefined
      return false
    }
    const result = await engine.load(archiveOf(tinyImage(['a', 'b', 'c']), ['app:2']).image)
    expect(result.layers).toEqual({ total: 3, sent: 3 })
    expect(fake.archives.map((files) => files.length)).toEqual([4, 3, 5])
  })

  it('looks into images of the same name first, then into the newest, and into no more than 200', async () => {
    const { fake, engine } = await engineWith(docker)
    const idOf = (index: number) => `sha256:${index.toString(16).padStart(64, '0')}`
    for (let index = 0; index < 300; index += 1)
      fake.images.set(idOf(index), { names: [`other:${index}`], diffIds: [], created: 1000 + index })
    const base = tinyImage(['a', 'b'])
    fake.images.set(idOf(1000), { names: ['app:old'], diffIds: base.diffIds, created: 1 })
    const result = await engine.load(archiveOf(tinyImage(['a', 'b', 'c']), ['app:new']).image)
    expect(result.layers).toEqual({ total: 3, sent: 1 })
    const asked = fake.requests.flatMap(
      (line) => /^GET \/images\/(sha256:0{8}.*)\/json$/.exec(line)?.[1] ?? [],
    )
    expect(asked[0]).toBe(idOf(1000))
    expect(asked).toHaveLength(200)
    expect(asked).toContain(idOf(299))
    expect(asked).not.toContain(idOf(50))
  })

  it('sends the whole layout to the containerd store, whose ids are digests of manifests', async () => {
    const { fake, engine } = await engineWith(containerd)
    const image = tinyImage(['a', 'b'])
    const result = await engine.load(archiveOf(image, ['app:1']).image)
    expect(result).toMatchObject({ imageId: image.root.digest, layers: { total: 2, sent: 2 } })
    expect(fake.archives[0]).toContain('oci-layout')
  })

  it('says what the engine says in the stream', async () => {
    const { fake, engine } = await engineWith(docker)
    fake.onLoad = (response) => {
      response.end('{"status":"Loading"}\n{"error":"no space left on device"}\n')
      return true
    }
    await expect(engine.load(archiveOf(tinyImage(['a']), []).image)).rejects.toMatchObject({
      code: 'ERR_ENGINE_LOAD',
      message: expect.stringMatching(
        /^Cannot load the image into Docker 20\.10\.0 at unix:.*: no space left on device$/,
      ),
    })
  })

  it('says what an engine says that refuses before it has read', async () => {
    const { fake, engine } = await engineWith(docker)
    fake.onLoad = (response) => {
      response.writeHead(500, { Connection: 'close' }).end('{"message":"plugin denies"}')
      return true
    }
    const image = tinyImage(['x'.repeat(4_000_000)])
    await expect(engine.load(archiveOf(image, []).image)).rejects.toMatchObject({
      code: 'ERR_ENGINE_LOAD',
      message: expect.stringMatching(/: plugin denies$/),
    })
  })

  it('fails when the engine says that all is well and does not have the image', async () => {
    const { fake, engine } = await engineWith(podman)
    fake.onLoad = (response) => {
      response.end('{"stream":"Loaded image"}')
      return true
    }
    await expect(engine.load(archiveOf(tinyImage(['a']), ['app:1']).image)).rejects.toMatchObject({
      code: 'ERR_ENGINE_LOAD',
      message: expect.stringMatching(/: after the load it does not have it$/),
    })
  })

  it('fails when the connection is cut', async () => {
    const { fake, engine } = await engineWith(docker)
    fake.onLoad = (response) => {
      response.destroy()
      return true
    }
    await expect(engine.load(archiveOf(tinyImage(['a']), []).image)).rejects.toMatchObject({
      code: 'ERR_ENGINE_UNREACHABLE',
    })
  })

  it('ends when it is cancelled', async () => {
    const { fake, engine } = await engineWith(docker)
    const abort = new AbortController()
    fake.onLoad = () => {
      abort.abort()
      return true
    }
    await expect(
      engine.load(archiveOf(tinyImage(['a']), []).image, { signal: abort.signal }),
    ).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
  })

  it('fails with the error of a blob that cannot be read', async () => {
    const { engine } = await engineWith(docker)
    const { image } = archiveOf(tinyImage(['a']), [])
    const layer = tinyImage(['a']).layers[0]?.digest
    const open = (digest: Digest) => {
      if (digest === layer)
        throw Object.assign(new Error('damaged'), { code: 'ERR_DIGEST_MISMATCH', kind: 'user' })
      return image.open(digest)
    }
    await expect(engine.load({ ...image, open })).rejects.toMatchObject({ message: 'damaged' })
  })

  it.each([
    ['1.41', 'ERR_UNSUPPORTED'],
    ['1.42', undefined],
  ])('with the API %s and zstd gives %s', async (apiVersion, code) => {
    const { engine } = await engineWith({ ...docker, apiVersion })
    const load = engine.load(archiveOf(tinyImage(['a'], mediaTypes.ociLayerZstd), []).image)
    if (code === undefined) await expect(load).resolves.toBeDefined()
    else await expect(load).rejects.toMatchObject({ code })
  })

  it('refuses images for several platforms where one name means one image, and sends them elsewhere', async () => {
    const [one, two] = [tinyImage(['a']), tinyImage(['b'])]
    const platformed = { ...two.root, platform: { os: 'linux', architecture: 'arm64' } }
    const bytes = Buffer.from(
      serializeIndex({ mediaType: mediaTypes.ociIndex, manifests: [one.root, platformed], annotations: {} }),
    )
    const root = { mediaType: mediaTypes.ociIndex, digest: digestBytes(bytes), size: bytes.length }
    const open = (digest: Digest) => {
      const blob =
        digest === root.digest ? bytes : one.blob(digest).length > 0 ? one.blob(digest) : two.blob(digest)
      return Readable.from([blob])
    }
    const image = { root, names: ['app:1'], open }
    const { engine } = await engineWith(docker)
    await expect(engine.load(image)).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringContaining('linux/amd64, linux/arm64'),
    })
    await started.pop()?.stop()
    const other = await engineWith(containerd)
    await expect(other.engine.load(image)).resolves.toMatchObject({ imageId: root.digest })
  })
})
