import { digestBytes } from '@tsbuild/digest'
import type { ExporterOptions } from '@tsbuild/exporter'
import type { FrontendResult } from '@tsbuild/frontend'
import type { Native } from '@tsbuild/native'
import { emptyFilesystem, type Snapshotter } from '@tsbuild/snapshot'
import type { Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { createImageMaker, type ImageMaker, type ImageTarget, writeNamedImage } from './image-outputs.ts'
import type { ImageLikeOutput, ImageOutput } from './output-types.ts'

let store: Store
let made: number
let exporter: ExporterOptions
let imageOf: ImageMaker
beforeEach(async () => {
  store = await temporaryStore()
  made = 0
  const snapshotter: Partial<Snapshotter> = { adopt: async () => void made++ }
  exporter = {
    store,
    native: {} as Native,
    snapshotter: snapshotter as Snapshotter,
    registry: () => {
      throw new Error('not expected')
    },
    fetch: () => Promise.reject(new Error('not expected')),
  }
  const platforms = ['amd64', 'arm64'].map((architecture) => ({
    frontend: resultFor(architecture),
    filesystem: emptyFilesystem,
  }))
  imageOf = createImageMaker({ exporter, platforms, options: { context: '.', cwd: '/', tags: ['app'] } })
})

function resultFor(architecture: string): FrontendResult {
  return {
    graph: { vertices: [], target: undefined },
    image: {
      platform: { os: 'linux', architecture },
      author: undefined,
      config: {},
      baseHistory: [],
      baseCreated: undefined,
      history: [],
    },
    sourceDateEpoch: undefined,
    proxyEnv: [],
  }
}

const context = {
  vertex: digestBytes('export'),
  events: () => {},
  now: () => 0,
  signal: new AbortController().signal,
}
const rootOf = async (output: ImageLikeOutput) => (await imageOf(output, context)).tree.root

describe('createImageMaker()', () => {
  it('makes one image for outputs of one form, also at a time, and another for another form', async () => {
    const [first, second] = await Promise.all([rootOf({ type: 'image' }), rootOf({ type: 'oci', dest: 'x' })])
    expect(second).toEqual(first)
    expect(made).toBe(2)
    const dated = await rootOf({ type: 'image', sourceDateEpoch: 1 })
    const typed = await rootOf({ type: 'image', ociMediaTypes: false })
    expect(new Set([first, dated, typed].map((root) => root?.digest)).size).toBe(3)
  })

  it('has the images in the order of the platforms', async () => {
    const { images, tree } = await imageOf({ type: 'image' }, context)
    expect(images.map(({ platform }) => platform.architecture)).toEqual(['amd64', 'arm64'])
    expect(tree.manifests).toEqual(images.map(({ image }) => image))
  })
})

describe('writeNamedImage()', () => {
  const name = 'docker.io/library/app:1'
  const write = async (output: ImageOutput, names: readonly string[] = [name]) => {
    const { tree } = await imageOf(output, context)
    const said: string[] = []
    const target: ImageTarget = { exporter, tree, names, context, done: (what) => said.push(what) }
    const given = await writeNamedImage(target, output, exporter.registry)
    const stored = (await store.images.list()).map((image) => image.name)
    return { given, said, stored, digest: tree.root.digest }
  }

  it('stores the names, and with the digest where that is asked for', async () => {
    const { given, stored, said, digest } = await write({ type: 'image', nameCanonical: true })
    expect(given).toEqual([name])
    expect(stored.toSorted()).toEqual([name, `${name}@${digest}`])
    expect(said).toEqual([`writing image ${digest}`, `naming to ${name}`, `naming to ${name}@${digest}`])
  })

  it.each([
    [{}, [name], 2],
    [{}, [], 1],
    [{ danglingNameEmptyOnly: true }, [name], 1],
    [{ danglingNameEmptyOnly: true }, [], 1],
  ])('sets a dangling name with %j beside %j: %i names', async (settings, names, count) => {
    const { given, stored, digest } = await write(
      { type: 'image', danglingNamePrefix: 'none', ...settings },
      names,
    )
    expect(given).toHaveLength(count)
    expect(given.includes(`docker.io/library/none@${digest}`)).toBe(
      count > names.length || names.length === 0,
    )
    expect(stored.toSorted()).toEqual(given.toSorted())
  })

  it('refuses a push without a name, and stores nothing that is only pushed', async () => {
    await expect(write({ type: 'registry' }, [])).rejects.toMatchObject({ code: 'ERR_USAGE' })
    await expect(write({ type: 'image', store: false, push: true })).rejects.toThrow('not expected')
    expect(await store.images.list()).toEqual([])
  })
})
