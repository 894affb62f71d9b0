import type { RemoteSources, RemoteTree } from '@tsbuild/context'
import { digestBytes } from '@tsbuild/digest'
import { createGraphBuilder, type GitOp, type HttpOp, type Op } from '@tsbuild/graph'
import { describe, expect, it } from 'vitest'
import type { BuildOptions } from '../types.ts'
import { createMaterialLog, type MaterialLog, materialsOf } from './materials.ts'

const commit = '1'.repeat(40)
const file = digestBytes('file')
const image = digestBytes('image')
const options: BuildOptions = { context: '.', cwd: '/work' }
const signal = new AbortController().signal

const pinnedAs = (pinned: string) => async () => ({ pinned }) as RemoteTree
const sources: RemoteSources = { http: pinnedAs(file), git: pinnedAs(commit) }

const http = (url: string): HttpOp => ({ kind: 'http', url, filename: 'f', checksum: undefined })
const git = (remote: string, ref: string): GitOp => ({
  kind: 'git',
  remote,
  ref,
  subdir: '',
  keepGitDir: false,
  submodules: true,
  checksum: undefined,
  mtime: 'checkout',
})

/** All of them, one upon the other. */
function graphOf(...ops: readonly Op[]) {
  const graph = createGraphBuilder()
  const inputs = ops.map((op, index) => graph.add(op, { inputs: [], name: String(index) }))
  return graph.build(graph.add({ kind: 'merge' }, { inputs, name: 'all' }))
}

async function fetchAll(log: MaterialLog, ...ops: readonly (HttpOp | GitOp)[]) {
  const noted = log.remote(sources)
  for (const op of ops) await (op.kind === 'git' ? noted.git(op, { signal }) : noted.http(op, { signal }))
}

describe('materialsOf()', () => {
  it('materialsOf() names images by what they were resolved to, and for which platform', () => {
    const log = createMaterialLog()
    const reference = 'docker.io/library/debian:12'
    log.image(reference, image, { os: 'linux', architecture: 'arm64' })
    const graph = graphOf({ kind: 'image', reference, manifest: image, layers: [] })
    expect(materialsOf(graph, log, options)).toEqual({
      source: undefined,
      materials: [{ uri: 'pkg:docker/debian@12?platform=linux%2Farm64', digest: { sha256: image.slice(7) } }],
      locals: ['dockerfile'],
    })
  })

  it('materialsOf() names what was fetched by its digest or commit, in the order of the graph', async () => {
    const log = createMaterialLog()
    const ops = [
      git('https://x.test/r.git', 'main'),
      http('https://x.test/f'),
      git('https://x.test/r.git', ''),
    ]
    await fetchAll(log, ...ops)
    expect(materialsOf(graphOf(...ops), log, options).materials).toEqual([
      { uri: 'https://x.test/r.git#main', digest: { sha1: commit } },
      { uri: 'https://x.test/f', digest: { sha256: file.slice(7) } },
      { uri: 'https://x.test/r.git', digest: { sha1: commit } },
    ])
  })

  it('materialsOf() lists what is on this machine alone as local, and what nobody has noted too', () => {
    const graph = graphOf(
      { kind: 'local', name: 'context' },
      { kind: 'local', name: 'lib' },
      http('https://x.test/f'),
    )
    const given = { ...options, buildContexts: { lib: '../lib' } }
    expect(materialsOf(graph, createMaterialLog(), given)).toEqual({
      source: undefined,
      materials: [],
      locals: ['context', 'dockerfile', 'https://x.test/f', 'lib'],
    })
  })

  it('materialsOf() of a repository as context has no local files, whether steps read it or not', async () => {
    const log = createMaterialLog()
    await fetchAll(log, git('https://x.test/r.git', 'v1'))
    const source = { uri: 'https://x.test/r.git#v1', digest: { sha1: commit } }
    const given = { ...options, context: 'https://x.test/r.git#v1:sub' }
    for (const graph of [graphOf({ kind: 'local', name: 'context' }), graphOf()]) {
      const found = materialsOf(graph, log, given)
      expect(found).toMatchObject({ source, locals: [] })
      expect(new Set(found.materials.map(({ uri }) => uri))).toEqual(new Set([source.uri]))
    }
  })

  it.each([
    ['-', ['dockerfile'], 1],
    ['https://x.test/Dockerfile', [], 2],
  ])('materialsOf() of a Dockerfile from %s beside a repository', async (dockerfile, locals, count) => {
    const log = createMaterialLog()
    await fetchAll(log, git('https://x.test/r.git', ''), http('https://x.test/Dockerfile'))
    const found = materialsOf(graphOf(), log, { ...options, context: 'https://x.test/r.git', dockerfile })
    expect(found.locals).toEqual(locals)
    expect(found.materials).toHaveLength(count)
  })

  it('materialsOf() takes a named context that is a repository or a file for what was fetched', async () => {
    const log = createMaterialLog()
    await fetchAll(log, git('https://x.test/r.git', ''), http('https://x.test/f'))
    const buildContexts = { code: 'https://x.test/r.git', data: 'https://x.test/f' }
    const graph = graphOf({ kind: 'local', name: 'code' }, { kind: 'local', name: 'data' })
    const found = materialsOf(graph, log, { ...options, buildContexts })
    expect(found.materials.map(({ uri }) => uri)).toEqual(['https://x.test/r.git', 'https://x.test/f'])
    expect(found.locals).toEqual(['dockerfile'])
  })
})
