import type { CacheSource, OpenTools } from '@tsbuild/remote-cache'
import type { CacheStore } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { openBuildCaches } from './caches.ts'

const place = { type: 'server', url: 'http://cache.lan:7070', token: async () => 's3cret' } as const

function open(options: object, insecureHosts: readonly string[] = []) {
  const run = { machine: { options: {}, network: { insecureHosts } }, options }
  return openBuildCaches({ run, internal: {} } as never)
}

describe('openBuildCaches()', () => {
  it.each([{ cacheFrom: [place] }, { cacheTo: [place] }, { cacheFrom: [place], cacheRequired: false }])(
    'fails for a token that would be sent in clear, and does not just go on without the cache: %j',
    async (options) => {
      expect(() => open(options)).toThrow(
        expect.objectContaining({ code: 'ERR_CACHE_SERVER_URL', kind: 'user' }),
      )
      await open(options, ['cache.lan:7070']).close()
    },
  )

  it('gives all caches of a build the same memory of what servers said', async () => {
    const given: OpenTools[] = []
    const cacheOpeners = {
      importer: async (_: CacheSource, tools: OpenTools) => {
        given.push(tools)
        return { name: 'c', plan: async () => [], close: async () => {} }
      },
    }
    const options = { cacheFrom: [place, { ...place, url: 'http://cache.lan:7071' }] }
    const { signal } = new AbortController()
    const machine = {
      options: { cacheOpeners },
      network: { insecureHosts: ['cache.lan:7070', 'cache.lan:7071'] },
      now: () => 0,
    }
    const internal = { run: (_: string, body: (vertex: string) => unknown) => body('v') }
    const run = { machine, options, signal, events: () => {} }
    const caches = openBuildCaches({ run, internal } as never)
    const local = { load: () => undefined } as unknown as CacheStore
    await caches.over(local, () => false).prepare?.([], signal)
    expect(given.map(({ servers }) => servers !== undefined && servers === given[0]?.servers)).toEqual([
      true,
      true,
    ])
  })
})
