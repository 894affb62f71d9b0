import type { BuildContext } from '@tsbuild/context'
import { digestBytes } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import type { GitOp, HttpOp, Op, Vertex } from '@tsbuild/graph'
import { describe, expect, it } from 'vitest'
import { createOps } from './create-ops.ts'
import { untouchable } from './testing/untouchable.ts'
import type { OpsOptions } from './types.ts'

const http: HttpOp = { kind: 'http', url: 'https://x.test/a', filename: 'a', checksum: undefined }
const git: GitOp = {
  kind: 'git',
  remote: 'https://x.test/r.git',
  ref: 'v1',
  subdir: '',
  keepGitDir: false,
  submodules: true,
  checksum: undefined,
  mtime: 'checkout',
}

const vertexOf = (op: Op): Vertex => ({
  digest: digestBytes('vertex'),
  op,
  inputs: [],
  name: 'ADD',
  source: null,
  ignoreCache: false,
})

const context = { shown: 'fetched' } as BuildContext

/** Describes a source over options of which only the given ones may be used. */
async function describeSource(op: Op, given: Partial<OpsOptions>) {
  const options = new Proxy(untouchable(), {
    get: (target, name) => Reflect.get(Object.hasOwn(given, name) ? given : target, name),
  })
  const vertex = vertexOf(op)
  const source = createOps(options)(vertex)
  if (source.kind !== 'source') throw new RangeError('it is no source')
  const events: BuildEvent[] = []
  const { signal } = new AbortController()
  const describing = { vertex, signal, events: (event: BuildEvent) => void events.push(event) }
  return { key: source.key, result: await source.describe(describing), events, signal }
}

describe('localOp()', () => {
  it('localOp() opens its context when it is described, and has no key', async () => {
    const opened: string[] = []
    const contexts = async (name: string) => {
      opened.push(name)
      return context
    }
    createOps(untouchable())(vertexOf({ kind: 'local', name: 'never' }))
    const { key, result } = await describeSource({ kind: 'local', name: 'extra' }, { contexts })
    expect([key, result, opened]).toEqual([undefined, { kind: 'context', context }, ['extra']])
  })
})

describe('remoteOp()', () => {
  it.each<[string, HttpOp | GitOp, string]>([
    ['a URL', http, 'a'],
    ['a repository', git, 'https://x.test/r.git'],
  ])(
    'remoteOp() fetches %s with the signal of the build, shows what came, and has no key',
    async (_, op, id) => {
      const asked: unknown[] = []
      const fetch: OpsOptions['fetch'] = async (source, { signal, onProgress }) => {
        asked.push(source, signal)
        onProgress?.(5, 10)
        onProgress?.(10, 10)
        return context
      }
      const { key, result, events, signal } = await describeSource(op, { fetch, now: () => 7 })
      expect([key, result]).toEqual([undefined, { kind: 'context', context }])
      expect(asked).toEqual([op, signal])
      const status = { type: 'vertex.status', vertex: digestBytes('vertex'), id, totalBytes: 10, at: 7 }
      expect(events).toEqual([
        { ...status, currentBytes: 5, done: false },
        { ...status, currentBytes: 10, done: false },
        { ...status, currentBytes: 10, done: true },
      ])
    },
  )

  it('remoteOp() shows no progress for what was there already', async () => {
    const { events } = await describeSource(http, { fetch: async () => context, now: () => 7 })
    expect(events).toEqual([])
  })
})
