import { Readable } from 'node:stream'
import { UserError } from '@tsbuild/errors'
import type { HttpResponse } from '@tsbuild/http'
import { describe, expect, it } from 'vitest'
import { endpointOf } from './endpoint.ts'
import { makeFirstContact } from './first-contact.ts'

const answer: HttpResponse = {
  status: 200,
  header: () => undefined,
  body: Readable.from([]),
  discard: async () => undefined,
}

const failure = (code: string) => Object.assign(new Error(code), { code })

/** Contacts a host that is declared insecure; `outcomes` are codes of errors, or `ok`. */
async function contact(registry: string, ...outcomes: readonly string[]) {
  const tried: string[] = []
  const left = [...outcomes]
  const outcome = makeFirstContact(endpointOf(registry, [], 'insecure'), async (endpoint) => {
    tried.push(endpoint.origin.protocol)
    const next = left.shift() ?? 'none'
    if (next !== 'ok') throw failure(next)
    return answer
  })
  const settled = await outcome.then(
    ({ endpoint }) => `${endpoint.origin.protocol} ${endpoint.settled}`,
    (error) => error.code,
  )
  return { tried, settled }
}

describe('makeFirstContact() with a host that is declared insecure', () => {
  it.each([
    ['a.example', ['ok'], ['https:'], 'https: true'],
    ['a.example:5000', ['EPROTO', 'ok'], ['https:', 'http:'], 'http: true'],
    ['a.example:5000', ['ERR_SSL_WRONG_VERSION_NUMBER', 'ok'], ['https:', 'http:'], 'http: true'],
    ['a.example:5000', ['ECONNRESET', 'ok'], ['https:', 'http:'], 'http: true'],
    ['a.example', ['ECONNREFUSED', 'ok'], ['https:', 'http:'], 'http: true'],
    // The same port is the same port.
    ['a.example:5000', ['ECONNREFUSED', 'ok'], ['https:'], 'ECONNREFUSED'],
    ['a.example:5000', ['UND_ERR_CONNECT_TIMEOUT', 'ok'], ['https:'], 'UND_ERR_CONNECT_TIMEOUT'],
    ['a.example', ['ENOTFOUND', 'ok'], ['https:'], 'ENOTFOUND'],
    ['a.example', ['ECONNREFUSED', 'ETIMEDOUT'], ['https:', 'http:'], 'ECONNREFUSED'],
    ['a.example:5000', ['EPROTO', 'ECONNRESET'], ['https:', 'http:'], 'ECONNRESET'],
  ] as const)('%s: %j is tried as %j and ends as %s', async (registry, outcomes, tried, settled) => {
    expect(await contact(registry, ...outcomes)).toEqual({ tried, settled })
  })

  it('what is wrong with a file of ours is not taken for a host that does not answer', async () => {
    const wrong = new UserError('ERR_CONFIG', 'no certificate')
    const outcome = makeFirstContact(endpointOf('localhost:5000', []), async ({ origin }) => {
      throw origin.protocol === 'http:' ? failure('UND_ERR_SOCKET') : wrong
    })
    await expect(outcome).rejects.toBe(wrong)
  })

  it('never in HTTP where only the certificate is not to be proven', () => {
    expect(endpointOf('a.example', [], 'unverified').settled).toBe(true)
  })
})
