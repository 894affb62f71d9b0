import { describe, expect, it } from 'vitest'
import { diskFailure } from './failures.ts'

const failed = (code: string) => Object.assign(new Error(`${code}: it failed`), { code, syscall: 'open' })

describe('diskFailure()', () => {
  it.each([
    ['ENOSPC', 'ERR_STORE_NO_SPACE'],
    ['EACCES', 'ERR_PERMISSION'],
    ['EIO', 'ERR_STORE_IO'],
    // What passes is not said to be damage: the scrub takes that away.
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
