import type { FrontendResult } from '@tsbuild/frontend'
import { createGraphBuilder, type FileAction, mergeGraphs } from '@tsbuild/graph'
import { describe, expect, it } from 'vitest'
import type { OutputSpec } from './output-types.ts'
import { wantedLayers } from './wanted-layers.ts'

/** `base`, upon it `own` with files of `other`, which is in no layer. */
function graphFor(label: string) {
  const graph = createGraphBuilder()
  const mkdir = (path: string): FileAction => ({
    kind: 'mkdir',
    path,
    mode: 0o755,
    owner: undefined,
    mtime: undefined,
  })
  const file = (path: string, rootfs: number | undefined) =>
    ({ kind: 'file', rootfs, owners: undefined, actions: [mkdir(path)] }) as const
  const base = graph.add(file('/base', undefined), { inputs: [], name: 'base' })
  const other = graph.add(file('/other', undefined), { inputs: [], name: 'other' })
  return graph.build(graph.add(file(`/${label}`, 0), { inputs: [base, other], name: label }))
}

const resultOf = (label: string, sourceDateEpoch?: number): FrontendResult => ({
  graph: graphFor(label),
  image: {
    platform: { os: 'linux', architecture: label },
    author: undefined,
    config: {},
    baseHistory: [],
    baseCreated: undefined,
    history: [],
  },
  sourceDateEpoch,
  proxyEnv: [],
})

function formsOf(outputs: readonly OutputSpec[], epoch?: number) {
  const images = [resultOf('a', epoch), resultOf('b', epoch)]
  const graph = mergeGraphs(images.map((image) => image.graph))
  const layerOf = wantedLayers(graph, images, { context: '.', cwd: '/', outputs })
  return Object.fromEntries(graph.vertices.map((vertex) => [vertex.name, layerOf(vertex)]))
}

const gzip = { compression: { format: 'gzip', level: 6 }, clampMtime: null }

describe('wantedLayers()', () => {
  it('are those that targets stand upon, and not what they only read', () => {
    expect(formsOf([{ type: 'local', dest: 'x' }, { type: 'image' }])).toEqual({
      base: gzip,
      other: undefined,
      a: gzip,
      b: gzip,
    })
  })

  it('are written as the first output with layers wants them', () => {
    const zstd = { type: 'oci', dest: 'x', compression: { type: 'zstd', level: 1 } } as const
    expect(formsOf([zstd, { type: 'image' }]).a).toEqual({
      compression: { format: 'zstd', level: 1 },
      clampMtime: null,
    })
    expect(formsOf([{ type: 'image', sourceDateEpoch: 7 }], 5).a?.clampMtime).toBe(7)
    expect(formsOf([{ type: 'image' }], 5).b?.clampMtime).toBe(5)
  })

  it('are none where no output has layers', () => {
    expect(formsOf([{ type: 'local', dest: 'x' }, { type: 'cacheonly' }]).a).toBeUndefined()
  })

  it('refuses times that are to be rewritten to none, of any output', () => {
    expect(() => formsOf([{ type: 'image' }, { type: 'registry', rewriteTimestamp: true }])).toThrow(
      expect.objectContaining({ code: 'ERR_USAGE' }),
    )
  })
})
