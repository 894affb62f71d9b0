import { describe, expect, it } from 'vitest'
import { limitMet } from './run-image.ts'

describe('limitMet()', () => {
  it.each([
    [
      { resource: 'memory', amount: 64 * 1024 ** 2, owner: 'build' },
      'memory than the limit of 64 MiB (--memory).',
    ],
    [{ resource: 'pids', amount: 5, owner: 'build' }, 'processes than the limit of 5 (--pids-limit).'],
    [
      { resource: 'pids', amount: 16_384, owner: 'default' },
      'than the default limit of 16384 (--pids-limit).',
    ],
    [{ resource: 'memory', amount: null, owner: 'machine' }, 'memory than the machine or its container has.'],
  ] as const)('limitMet() says whose limit it was: %j', (limit, text) => {
    expect(limitMet(limit)).toContain(text)
  })
})
