import { noLimits } from '@tsbuild/native'
import { describe, expect, it } from 'vitest'
import { defaultLimits, executionOptions } from './execution-options.ts'

const GiB = 1024 ** 3
const MiB = 1024 ** 2

describe('executionOptions()', () => {
  it('executionOptions() asks for nothing but the defaults where nothing is said', () => {
    expect(executionOptions({})).toMatchObject({
      allow: [],
      limits: noLimits,
      processLimits: noLimits,
      defaultLimits: { pids: 16_384 },
      processTimeoutMs: undefined,
      cgroupParent: undefined,
      security: 'sandbox',
      noNewPrivileges: false,
      userns: undefined,
    })
  })

  it('executionOptions() hands everything on', () => {
    const given = {
      allow: ['security.insecure'],
      limits: { memoryBytes: 1, pids: undefined },
      stepLimits: { cpusetCpus: '0' },
      stepTimeoutMs: 2,
      cgroupParent: 'ci',
      security: 'minimal',
      noNewPrivileges: true,
      userns: 'auto',
    } as const
    const { limits, stepLimits, stepTimeoutMs, ...same } = given
    expect(executionOptions(given)).toMatchObject({
      ...same,
      limits: { ...noLimits, memoryBytes: 1 },
      processLimits: { ...noLimits, cpusetCpus: '0' },
      processTimeoutMs: 2,
    })
    expect([limits, stepLimits, stepTimeoutMs]).toBeDefined()
  })

  it('executionOptions() takes the network of the whole build as the word of the caller', () => {
    expect(executionOptions({ network: 'host' }).allow).toEqual(['network.host'])
    expect(executionOptions({ network: 'none' }).allow).toEqual([])
  })
})

describe('defaultLimits()', () => {
  it.each([
    ['5 % of a large machine', 64 * GiB, 64 * GiB - Math.ceil(3.2 * GiB)],
    ['512 MiB of a usual one', 8 * GiB, 8 * GiB - 512 * MiB],
    ['half of a very small one', 768 * MiB, 384 * MiB],
  ])('defaultLimits() leaves %s', (_, total, memoryBytes) => {
    expect(defaultLimits(total)).toEqual({ ...noLimits, memoryBytes, pids: 16_384 })
  })
})
