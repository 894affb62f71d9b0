import { TransientFailure } from '@tsbuild/http'
import { describe, expect, it } from 'vitest'
import { networkFailure } from './failures.ts'

describe('networkFailure()', () => {
  const purpose = { what: 'pull debian:12', host: 'docker.io' }
  const failing = (code: string) => networkFailure(Object.assign(new Error('failed'), { code }), purpose)

  it.each([
    ['ECONNREFUSED', 3],
    ['EAI_AGAIN', 3],
    ['UND_ERR_CONNECT_TIMEOUT', 2],
    ['UND_ERR_HEADERS_TIMEOUT', 3],
    ['ECONNRESET', Number.POSITIVE_INFINITY],
  ])('gives %s at most %d tries', (code, maxAttempts) => {
    expect(failing(code)).toMatchObject({
      maxAttempts,
      failure: { code: 'ERR_REGISTRY_UNREACHABLE', message: expect.stringContaining(code) },
    })
  })

  it('is final when the host has no address', () => {
    const failure = failing('ENOTFOUND')
    expect(failure).not.toBeInstanceOf(TransientFailure)
    expect(failure).toMatchObject({ code: 'ERR_REGISTRY_UNREACHABLE' })
  })
})
