import { EnvironmentError, UserError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { failureOf } from './failure-of.ts'

const range = (startLine: number, endLine = startLine) => ({
  file: 'Dockerfile',
  startLine,
  startColumn: 0,
  endLine,
  endColumn: 1,
})
const sourceText = Array.from({ length: 30 }, (_, index) => `line ${index + 1}\r\n`).join('')

describe('failureOf()', () => {
  it('keeps what an error says, without credentials, and the lines around its place', () => {
    const error = new UserError('ERR_STEP_FAILED', 'at https://me:hunter2@host/', {
      source: range(3),
      hints: ['not https://me:hunter2@host/'],
      details: { sourceText: `a\nb\nRUN curl https://me:hunter2@host/\nd\ne\nf\n` },
    })
    expect(failureOf(error)).toEqual({
      kind: 'user',
      code: 'ERR_STEP_FAILED',
      message: 'at https://***@host/',
      hints: ['not https://***@host/'],
      source: range(3),
      excerpt: { firstLine: 1, lines: ['a', 'b', 'RUN curl https://***@host/', 'd', 'e'] },
    })
  })

  it.each([
    [range(1), 1, 3],
    [range(30), 28, 30],
    [range(5, 29), 3, 18],
  ])('keeps of the lines around %j those from %d to %d', (source, first, last) => {
    const { excerpt } = failureOf(new UserError('ERR_LINT', 'm', { source, details: { sourceText } }))
    expect(excerpt).toMatchObject({ firstLine: first })
    expect(excerpt?.lines).toEqual(
      Array.from({ length: last - first + 1 }, (_, index) => `line ${first + index}`),
    )
  })

  it.each([
    new UserError('ERR_LINT', 'm', { source: range(31), details: { sourceText } }),
    new UserError('ERR_LINT', 'm', { source: range(1) }),
    new EnvironmentError('ERR_STORE_IO', 'm'),
    new Error('m'),
    'm',
  ])('has no lines where there are none: %s', (error) => {
    expect(failureOf(error)).toMatchObject({ message: 'm', excerpt: null })
  })
})
