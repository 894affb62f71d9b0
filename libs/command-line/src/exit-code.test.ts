import { EnvironmentError, InternalError, UserError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { classifyError } from './classify-error.ts'
import { exitCodeOf } from './exit-code.ts'

describe('classifyError()', () => {
  it.each([
    [Object.assign(new Error('x'), { code: 'ENOSPC' }), 'ERR_STORE_NO_SPACE', 3],
    [Object.assign(new Error('x'), { code: 'EACCES' }), 'ERR_PERMISSION', 3],
    [new DOMException('x', 'AbortError'), 'ERR_CANCELLED', 130],
  ])('gives %s the code %s', (error, code, exit) => {
    expect(classifyError(error)).toMatchObject({ code })
    expect(exitCodeOf(classifyError(error))).toBe(exit)
  })

  it('returns as they are what has a code and what can only be a bug', () => {
    for (const error of [new UserError('ERR_USAGE', 'x'), new TypeError('x'), 'text']) {
      expect(classifyError(error)).toBe(error)
    }
  })
})

describe('exitCodeOf()', () => {
  it.each([
    [new UserError('ERR_STEP_FAILED', 'x'), 1],
    [new UserError('ERR_UNSUPPORTED', 'x'), 1],
    [new UserError('ERR_USAGE', 'x'), 2],
    [new EnvironmentError('ERR_STORE_OPEN', 'x'), 3],
    [new InternalError('ERR_INTERNAL', 'x'), 70],
    [new TypeError('x'), 70],
    [new UserError('ERR_CANCELLED', 'x'), 130],
  ])('gives %s the code %i', (error, code) => {
    expect(exitCodeOf(error)).toBe(code)
  })
})
