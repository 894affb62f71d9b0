import { describe, expect, it } from 'vitest'
import { openers } from '../open.ts'
import type { OpenTools, ServerPlace } from '../types.ts'
import { refuseTokenInClear } from './token-in-clear.ts'

const token = async () => 's3cret'
const identity = { provider: 'gitlab', idToken: 's3cret' } as const

describe('refuseTokenInClear()', () => {
  it.each<[ServerPlace, readonly string[]]>([
    [{ url: 'http://cache.lan:7070', token }, []],
    [{ url: 'http://cache.lan:7070/base', identity }, []],
    [{ url: 'http://10.0.0.1', token }, ['10.0.0.1:7070', '10.0.0.2']],
    [{ url: 'http://127.0.0.1.example', token, insecure: false }, []],
    [{ url: 'http://cache.lan:7070', token }, ['cache.lan']],
  ])('refuses %j', (place, insecureHosts) => {
    expect(() => refuseTokenInClear(place, insecureHosts)).toThrow(
      expect.objectContaining({
        code: 'ERR_CACHE_SERVER_URL',
        message: `Cannot use cache-server "${place.url}": a token would be sent to it in clear over plain HTTP`,
        hints: expect.arrayContaining([expect.stringContaining('--insecure-registry')]),
      }),
    )
  })

  it.each<[ServerPlace, readonly string[]]>([
    [{ url: 'http://cache.lan:7070' }, []],
    [{ url: 'https://cache.lan', token }, []],
    [{ url: 'http://127.0.0.1:7070', token }, []],
    [{ url: 'http://[::1]:7070', token }, []],
    [{ url: 'http://localhost', identity }, []],
    [{ url: 'http://cache.lan:7070', token, insecure: true }, []],
    [{ url: 'http://cache.lan:7070', token }, ['cache.lan:7070']],
    [{ url: 'http://cache.lan', token }, ['cache.lan']],
    [{ url: 'http://cache.lan', token }, ['cache.lan:80']],
  ])('takes %j', (place, insecureHosts) => {
    expect(() => refuseTokenInClear(place, insecureHosts)).not.toThrow()
  })

  it('is asked before a server is reached, for reading and for writing', async () => {
    const place = { type: 'server', url: 'http://cache.lan:7070', token } as const
    const tools = { network: { insecureHosts: ['other.lan'] } } as unknown as OpenTools
    const refused = { code: 'ERR_CACHE_SERVER_URL' }
    await expect(openers.importer(place, tools)).rejects.toMatchObject(refused)
    await expect(openers.exporter(place, tools, {} as never)).rejects.toMatchObject(refused)
    const declared = { network: { insecureHosts: ['cache.lan:7070'] } } as unknown as OpenTools
    await (await openers.importer(place, declared)).close()
  })
})
