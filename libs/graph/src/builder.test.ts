import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { createGraphBuilder, type ExecOp, type Op, vertexDigest } from './index.ts'

const exec = (command: string): ExecOp => ({
  kind: 'exec',
  rootfs: undefined,
  args: ['/bin/sh', '-c', command],
  env: [],
  cwd: '/',
  user: '',
  network: 'default',
  hostname: 'buildkitsandbox',
  extraHosts: [],
  security: 'sandbox',
  mounts: [],
  ulimits: [],
  shmSizeBytes: undefined,
  cgroupParent: undefined,
  platform: 'linux/amd64',
  scripts: [],
})

describe('graph', () => {
  it('add() gives equal steps one vertex and keeps forced ones apart', () => {
    const graph = createGraphBuilder()
    const a = graph.add(exec('a'), { inputs: [], name: 'a' })
    expect(graph.add(exec('a'), { inputs: [], name: 'again' })).toBe(a)
    expect(graph.add(exec('a'), { inputs: [], name: 'forced', ignoreCache: true })).not.toBe(a)
  })

  it('get() gives what was added, and refuses what was not', () => {
    const graph = createGraphBuilder()
    const a = graph.add(exec('a'), { inputs: [], name: 'first' })
    expect(graph.get(a)).toMatchObject({ digest: a, name: 'first', op: { kind: 'exec' } })
    expect(() => graph.get(digestBytes('x'))).toThrow(RangeError)
  })

  it('build() keeps what the target needs, inputs first', () => {
    const graph = createGraphBuilder()
    const a = graph.add(exec('a'), { inputs: [], name: 'a' })
    graph.add(exec('unused'), { inputs: [a], name: 'unused' })
    const b = graph.add({ ...exec('b'), rootfs: 0 }, { inputs: [a], name: 'b' })
    expect(graph.build(b).vertices.map((vertex) => vertex.name)).toEqual(['a', 'b'])
    expect(graph.build(undefined).vertices).toEqual([])
  })

  it('add() refuses an input that is not there', () => {
    const graph = createGraphBuilder()
    expect(() => graph.add(exec('a'), { inputs: [digestBytes('x')], name: 'a' })).toThrow(RangeError)
  })

  it('build() walks a chain of 20,000 steps without recursion', () => {
    const graph = createGraphBuilder()
    let last = graph.add(exec('0'), { inputs: [], name: '0' })
    for (let i = 1; i < 20_000; i++)
      last = graph.add({ ...exec(String(i)), rootfs: 0 }, { inputs: [last], name: String(i) })
    expect(graph.build(last).vertices).toHaveLength(20_000)
  })

  it.each([
    [{ kind: 'http', url: 'https://h.test/a', filename: 'a', checksum: undefined }],
    [{ kind: 'http', url: 'https://h.test/a', filename: 'a', checksum: digestBytes('a') }],
    [{ kind: 'merge' }],
    [{ ...exec('a'), scripts: [{ path: '/dev/pipes/E', content: '#!' }] }],
    [{ kind: 'file', rootfs: undefined, owners: undefined, actions: [] }],
  ] satisfies [Op][])('vertexDigest() tells %j from every other op', (op) => {
    const digests = [op, exec('a'), { kind: 'local', name: 'a' } as const].map((each) =>
      vertexDigest(each, [], false),
    )
    expect(new Set(digests).size).toBe(3)
  })

  it('vertexDigest() is pinned', () => {
    expect(vertexDigest({ kind: 'local', name: 'context' }, [], false)).toMatchInlineSnapshot(
      `"sha256:dfb196ddb1c088f05ba4000ed0b3a442b35405009ac4b7c9db8b35f085691e6a"`,
    )
  })
})
