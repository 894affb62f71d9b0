import { describe, expect, it } from 'vitest'
import {
  didYouMean,
  EnvironmentError,
  errorCodes,
  InternalError,
  isBuildError,
  isErrorCode,
  nearest,
  redact,
  UserError,
  withSource,
} from './index.ts'

const range = { file: 'Dockerfile', startLine: 3, startColumn: 0, endLine: 3, endColumn: 4 }

describe('errors', () => {
  it('isBuildError() knows an error of another copy of the lib by its shape', () => {
    const foreign = Object.assign(new Error('x'), { kind: 'user', code: 'ERR_USAGE' })
    expect(isBuildError(foreign)).toBe(true)
    expect(isBuildError(Object.assign(new Error('x'), { code: 'ENOENT' }))).toBe(false)
  })

  it('withSource() adds a place only where none is known, and keeps the rest', () => {
    const located = withSource(new UserError('ERR_USAGE', 'm', { hints: ['h'], details: { a: 1 } }), range)
    expect(located).toMatchObject({
      kind: 'user',
      code: 'ERR_USAGE',
      source: range,
      hints: ['h'],
      details: { a: 1 },
    })
    const elsewhere = { ...range, startLine: 9 }
    expect(withSource(located, elsewhere)).toBe(located)
    expect(withSource(new EnvironmentError('ERR_PERMISSION', 'm'), range)).toMatchObject({
      kind: 'environment',
    })
    expect(withSource(new InternalError('ERR_INTERNAL', 'm'), range)).toMatchObject({ kind: 'internal' })
  })

  it('errorCodes rows are described as sentences', () => {
    for (const [code, row] of Object.entries(errorCodes)) expect(row.meaning, code).toMatch(/^[A-Z].*\.$/)
    expect(isErrorCode('ERR_USAGE')).toBe(true)
    expect(isErrorCode('toString')).toBe(false)
  })

  it('redact() hides credentials and nothing else', () => {
    expect(redact('GET https://me:pw@host/x?token=abc&b=1')).toBe('GET https://***@host/x?token=***&b=1')
    expect(redact('https://me:p@ss:w@rd@host/a@b')).toBe('https://***@host/a@b')
    expect(redact('https://h?a=b@c https://h#@ "https://h","b@c"')).toBe(
      'https://h?a=b@c https://h#@ "https://h","b@c"',
    )
    expect(redact('Authorization: Bearer abc.def')).toBe('Authorization: Bearer ***')
    expect(redact('docker.io/library/debian@sha256:00')).toBe('docker.io/library/debian@sha256:00')
  })

  it('didYouMean() names the nearest candidate and keeps quiet when none is near', () => {
    expect(didYouMean('RUNN', ['FROM', 'RUN', 'COPY'])).toEqual(['Did you mean `RUN`?'])
    expect(didYouMean('FORM', ['RUN', 'FROM'])).toEqual(['Did you mean `FROM`?'])
    expect(didYouMean('xyzzy', ['FROM', 'RUN'])).toEqual([])
  })
})

describe('with 1 MB of hostile text', () => {
  it.each(['a.', 'a', '://', '://a@', 'a:', ' authorization:', '?token=', '&'])(
    'redact() is linear: %j',
    (piece) => {
      const text = piece.repeat(2 ** 20 / piece.length)
      expect(redact(text).length).toBeGreaterThan(0)
    },
  )

  it('nearest() compares with so many and no more', () => {
    let read = 0
    function* names() {
      for (; read < 100_000; read++) yield `NAME${read % 10}`
    }
    expect(nearest('OTHER', names())).toBeUndefined()
    expect(read).toBeLessThan(1000)
  })

  it('nearest() does not count what is too long or short', () => {
    expect(nearest('WORD', [...Array.from({ length: 1000 }, () => 'x'.repeat(100)), 'WORK'])).toBe('WORK')
  })
})

it.each([
  'token',
  'private_token',
  'access_token',
  'X-Goog-Signature',
  'X-Amz-Credential',
  'sig',
  'apikey',
  'api_key',
])('redact() takes out the query parameter %s', (name) => {
  expect(redact(`"https://h/x?a=b&${name}=CANARY&c=d"`)).toBe(`"https://h/x?a=b&${name}=***&c=d"`)
})
