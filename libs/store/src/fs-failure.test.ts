import { UserError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { diskFailure, storeFailure, unlessErrno } from './fs-failure.ts'

const failed = (code: string) => Object.assign(new Error(`${code}: it failed`), { code, syscall: 'open' })

describe('diskFailure()', () => {
  it.each([
    ['ENOSPC', 'ERR_STORE_NO_SPACE'],
    ['EACCES', 'ERR_PERMISSION'],
    ['EIO', 'ERR_STORE_IO'],
    // What passes is not said to be damage: that is taken away.
    ['EMFILE', 'ERR_STORAGE_UNAVAILABLE'],
    ['ENFILE', 'ERR_STORAGE_UNAVAILABLE'],
  ])('says %s as %s', (errno, code) => {
    const cause = failed(errno)
    expect(diskFailure(cause, 'read object', '/nowhere/x')).toMatchObject({
      ...{ code, cause, kind: 'environment' },
      message: expect.stringContaining('Cannot read object "/nowhere/x": '),
      details: { errno, path: '/nowhere/x' },
    })
  })
})

describe('storeFailure()', () => {
  it.each(['ENOSPC', 'EROFS', 'EPERM', 'EMFILE'])(
    'says what can be done about %s, as diskFailure() does not',
    (errno) => {
      expect(storeFailure(failed(errno), 'write blob', '/nowhere/x')).toMatchObject({
        hints: [expect.stringMatching(/--root|ulimit/)],
      })
      expect(diskFailure(failed(errno), 'write blob', '/nowhere/x')).toMatchObject({ hints: [] })
    },
  )

  it('gives back what is no failed system call', () => {
    for (const value of [new TypeError('x'), 'text', new UserError('ERR_USAGE', 'x')])
      expect(storeFailure(value, 'write blob', '/x')).toBe(value)
  })
})

describe('unlessErrno()', () => {
  it('gives undefined for what is named and lets everything else through', async () => {
    const failing = (errno: string) => () => Promise.reject(failed(errno))
    expect(await unlessErrno(['ENOENT'], failing('ENOENT'))).toBeUndefined()
    await expect(unlessErrno(['ENOENT'], failing('EIO'))).rejects.toMatchObject({ code: 'EIO' })
    expect(await unlessErrno([], async () => 7)).toBe(7)
  })
})
