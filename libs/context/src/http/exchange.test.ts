import { Readable } from 'node:stream'
import type { HttpRequest, Transport } from '@tsbuild/http'
import { describe, expect, it } from 'vitest'
import { networkFailure, sendGet } from './exchange.ts'
import { parseSourceUrl } from './source-url.ts'

/** Sends a GET to a transport that redirects as the table says, and gives what was asked. */
async function follow(first: string, redirects: Readonly<Record<string, string>>, authorization?: string) {
  const asked: HttpRequest[] = []
  const transport: Transport = {
    send: async (request) => {
      asked.push(request)
      const location = redirects[request.url.href]
      return {
        status: location === undefined ? 200 : 302,
        header: (name) => (name === 'location' ? location : undefined),
        body: Readable.from([]),
        discard: async () => {},
      }
    },
    close: async () => {},
  }
  const source = parseSourceUrl(first)
  const { signal } = new AbortController()
  const sent = sendGet(transport, { source, authorization, headers: {}, signal })
  return {
    outcome: await sent.then(
      ({ status }) => status,
      (error: unknown) => error,
    ),
    asked,
  }
}

describe('redirects and credentials', () => {
  it('https → http is refused where a credential was sent, and borne where none was', async () => {
    const redirects = { 'https://host/a': 'http://host/b' }
    const { outcome, asked } = await follow('https://host/a', redirects, 'Bearer CANARY')
    expect(outcome).toMatchObject({ code: 'ERR_HTTP_RESPONSE' })
    expect(String(outcome)).toContain('does not leave HTTPS')
    expect(asked).toHaveLength(1)
    expect((await follow('https://host/a', redirects)).outcome).toBe(200)
  })

  it('https → http is refused also from the server that the credential was not sent to any more', async () => {
    const redirects = { 'https://host/a': 'https://cdn/b', 'https://cdn/b': 'http://cdn/c' }
    const { outcome, asked } = await follow('https://host/a', redirects, 'Bearer CANARY')
    expect(outcome).toMatchObject({ code: 'ERR_HTTP_RESPONSE' })
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer CANARY', undefined])
  })

  it.each([
    ['http://host/a', 'https://host/b', true],
    ['http://host:80/a', 'https://host:443/b', true],
    ['http://host/a', 'https://host:8443/b', false],
    ['http://host:8080/a', 'https://host/b', false],
    ['https://host/a', 'https://host:8443/b', false],
    ['https://host/a', 'https://host.evil/b', false],
    ['https://host/a', 'https://sub.host/b', false],
  ])('from %s to %s the credential goes along: %s', async (from, to, kept) => {
    const { asked } = await follow(from, { [new URL(from).href]: to }, 'Bearer CANARY')
    expect(asked.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer CANARY',
      kept ? 'Bearer CANARY' : undefined,
    ])
  })

  it.each([
    ['file:///etc/passwd', 'neither https nor http'],
    ['javascript:alert(1)', 'neither https nor http'],
    ['https://user:CANARY@host/x', 'has credentials in it'],
    ['https://[', 'is no URL'],
    ['http://127.0.0.1/x?CANARY', 'an address of this machine'],
  ])('a redirect to %s is refused, without its secrets', async (location, why) => {
    const { outcome, asked } = await follow('https://host/a?CANARY', { 'https://host/a?CANARY': location })
    expect(String(outcome)).toContain(why)
    expect(String(outcome)).not.toContain('CANARY')
    expect(asked).toHaveLength(1)
  })

  it('what is not the first server is foreign: its address is checked when it is connected to', async () => {
    const { asked } = await follow('https://host/a', {
      'https://host/a': 'https://host:8443/b',
      'https://host:8443/b': 'https://cdn/c',
    })
    expect(asked.map(({ foreign, insecure }) => [foreign, insecure])).toEqual([
      [false, false],
      [false, false],
      [true, false],
    ])
  })
})

describe('networkFailure()', () => {
  const source = parseSourceUrl('https://user:CANARY@host/a?CANARY')

  it.each([
    ['SELF_SIGNED_CERT_IN_CHAIN', 'ERR_HTTP_UNREACHABLE', 'certificate'],
    ['EPROTO', 'ERR_HTTP_UNREACHABLE', 'does not speak HTTPS'],
    ['ENOTFOUND', 'ERR_HTTP_UNREACHABLE', 'does not answer (ENOTFOUND)'],
    ['ERR_INTERNAL_ADDRESS', 'ERR_HTTP_RESPONSE', 'an address of this machine'],
  ])('is final for %s', (code, ours, message) => {
    const failure = networkFailure(Object.assign(new Error('x'), { code }), source)
    expect(failure).toMatchObject({ code: ours, message: expect.stringContaining(message) })
    expect(String(failure)).not.toContain('CANARY')
  })
})
