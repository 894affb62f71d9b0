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
})
