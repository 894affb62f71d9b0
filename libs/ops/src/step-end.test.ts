import { describe, expect, it } from 'vitest'
import { stepFailed } from './step-end.ts'

type Owner = 'process' | 'build' | 'default' | 'machine'

/** The error of a process that a limit ended. */
function ended(resource: 'memory' | 'pids', owner: Owner, amount: number | null) {
  return stepFailed({
    op: { args: ['/bin/sh', '-c', 'make'] },
    outcome: { exitCode: 137, exceeded: { resource, owner: 'run' } },
    lastLines: ['cc1plus'],
    executor: { limitOf: () => ({ resource, amount, owner }) },
  })
}

describe('stepFailed()', () => {
  it.each([
    ['process', 512 * 1024 ** 2, 'used more than its memory limit of 512 MiB (--resource memory)'],
    ['build', 1024 ** 3, "used more than the build's memory limit of 1 GiB (--memory)"],
    ['default', 7.5 * 1024 ** 3, 'used more than the default memory limit of 7.5 GiB'],
    ['machine', null, 'was ended, as the machine or its container has no more memory'],
  ] as const)('stepFailed() names the memory limit of the %s', (owner, amount, why) => {
    expect(ended('memory', owner, amount)).toMatchObject({
      code: 'ERR_STEP_OOM',
      kind: 'user',
      message: `Process "/bin/sh -c make" ${why}`,
      details: { exitCode: 137, lastLines: ['cc1plus'], limit: { resource: 'memory', owner, amount } },
    })
  })

  it.each([
    ['process', 20, 'its limit of 20 (--resource pids-limit)'],
    ['build', 100, "the build's limit of 100 (--pids-limit)"],
    ['default', 16_384, 'the default limit of 16384'],
    ['machine', null, 'the limit of the machine or its container'],
  ] as const)('stepFailed() names the limit of processes of the %s', (owner, amount, why) => {
    expect(ended('pids', owner, amount)).toMatchObject({
      code: 'ERR_STEP_PIDS',
      message: `Process "/bin/sh -c make" could make no more processes: ${why} is reached`,
    })
  })

  it('stepFailed() tells how to change a limit that nobody asked for', () => {
    expect(ended('memory', 'default', 1).hints).toEqual([expect.stringContaining('`--memory`')])
    expect(ended('pids', 'default', 1).hints).toEqual([expect.stringContaining('`--pids-limit`')])
  })

  it('stepFailed() cuts a long command', () => {
    const error = stepFailed({
      op: { args: ['x'.repeat(1000)] },
      outcome: { exitCode: 1, exceeded: null },
      lastLines: [],
      executor: { limitOf: () => expect.unreachable() },
    })
    expect(error.message).toContain(`"${'x'.repeat(300)}…"`)
    expect(error.code).toBe('ERR_STEP_FAILED')
  })
})
