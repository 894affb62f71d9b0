import { describe, expect, it } from 'vitest'
import { isTransientStatus, networkFault, parseHttpDate, retryAfterMs } from './failures.ts'

const failing = (code: string) => networkFault(Object.assign(new Error('failed'), { code }))

describe('networkFault()', () => {
  it.each([
    [0, true],
    [7, false],
  ])('knows a server that closes after %d bytes (%s)', (bytesRead, hungUp) => {
    const error = Object.assign(new Error('other side closed'), {
      code: 'UND_ERR_SOCKET',
      socket: { bytesRead },
    })
    expect(networkFault(error)).toMatchObject({ kind: 'unreachable', hungUp })
  })

  it.each([
    ['ENOTFOUND', 1],
    ['ECONNREFUSED', 3],
    ['EAI_AGAIN', 3],
    ['UND_ERR_CONNECT_TIMEOUT', 2],
    ['UND_ERR_HEADERS_TIMEOUT', 3],
    ['ECONNRESET', Number.POSITIVE_INFINITY],
  ])('gives %s %d tries', (code, maxAttempts) => {
    expect(failing(code)).toEqual({ kind: 'unreachable', code, maxAttempts, hungUp: false })
  })

  it.each([
    ['EPROTO', 'plain'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'plain'],
    ['CERT_HAS_EXPIRED', 'certificate'],
    ['ERR_INTERNAL_ADDRESS', 'internal'],
  ])('takes %s for %s', (code, kind) => {
    expect(failing(code)).toEqual({ kind })
  })

  it('looks for the code in the causes and in the first of several errors', () => {
    const inner = Object.assign(new Error('inner'), { code: 'ECONNREFUSED' })
    const several = new AggregateError([inner, new Error('other')])
    expect(networkFault(new Error('outer', { cause: several }))).toMatchObject({ code: 'ECONNREFUSED' })
    expect(networkFault('text')).toMatchObject({ kind: 'unreachable', code: undefined })
  })
})

describe('headers and statuses', () => {
  it.each([
    [200, false],
    [404, false],
    [408, true],
    [429, true],
    [500, true],
    [503, true],
  ])('isTransientStatus() of %d is %s', (status, transient) => {
    expect(isTransientStatus(status)).toBe(transient)
  })

  it('parseHttpDate() reads dates, and nothing that Date.parse would take for one', () => {
    expect(parseHttpDate('Sun, 06 Nov 1994 08:49:37 GMT')).toBe(784_111_777_000)
    for (const text of [undefined, '', '-5', '2024-01-01', 'yesterday', 'Not a date'])
      expect(parseHttpDate(text)).toBeUndefined()
  })

  it('retryAfterMs() reads seconds and dates', () => {
    expect(retryAfterMs('3', 0)).toBe(3000)
    expect(retryAfterMs('Thu, 01 Jan 1970 00:00:10 GMT', 4000)).toBe(6000)
    expect(retryAfterMs('Thu, 01 Jan 1970 00:00:01 GMT', 4000)).toBe(0)
    expect(retryAfterMs('soon', 0)).toBeUndefined()
  })
})
