import { describe, expect, it } from 'vitest'
import { parseArguments } from '../argv/command-line.ts'
import { memoryHost } from '../test-support/memory-host.ts'
import { buildOptions } from './build-options.ts'
import { type BuildFlags, buildCommand, refuseUnsupported } from './flags.ts'

const parse = (flags: readonly string[]) => {
  const command = buildCommand()
  parseArguments(command, [...flags, '.'])
  refuseUnsupported(command)
  return buildOptions('.', command.opts<BuildFlags>(), memoryHost())
}

const GiB = 1024 ** 3

describe('tsbuild build, how steps run', () => {
  it.each([
    ['-m 1g', { limits: { memoryBytes: GiB, memorySwapBytes: 2 * GiB } }],
    ['--memory 1g --memory-swap 3g', { limits: { memoryBytes: GiB, memorySwapBytes: 3 * GiB } }],
    ['--cpus 1.5', { limits: { cpuPeriodMicros: 100_000, cpuQuotaMicros: 150_000 } }],
    ['--cpu-period 50000 --cpu-quota 25000', { limits: { cpuPeriodMicros: 50_000, cpuQuotaMicros: 25_000 } }],
    ['-c 512', { limits: { cpuShares: 512 } }],
    ['--cpuset-cpus 0-1 --cpuset-mems 0', { limits: { cpusetCpus: '0-1', cpusetMems: '0' } }],
    ['--pids-limit 100', { limits: { pids: 100 } }],
    ['--blkio-weight 300', { limits: { ioWeight: 300 } }],
    [
      '--resource memory=1g,cpus=2 --resource pids-limit=50',
      {
        stepLimits: {
          memoryBytes: GiB,
          memorySwapBytes: 2 * GiB,
          cpuPeriodMicros: 100_000,
          cpuQuotaMicros: 200_000,
          pids: 50,
        },
      },
    ],
    ['--resource memory=1g --resource memory=2g', { stepLimits: { memoryBytes: 2 * GiB } }],
    [
      '--resource memory-swap=1g,memory=1g,cpu-shares=2,cpu-period=1000,cpu-quota=1000,cpuset-cpus=0,cpuset-mems=0',
      { stepLimits: { memorySwapBytes: GiB, cpuShares: 2, cpuQuotaMicros: 1000, cpusetMems: '0' } },
    ],
    ['--ulimit nofile=1024:2048', { ulimits: [{ name: 'nofile', soft: 1024, hard: 2048 }] }],
    ['--shm-size 128m', { shmSizeBytes: 128 * 1024 ** 2 }],
    ['--cgroup-parent /ci/jobs/', { cgroupParent: 'ci/jobs' }],
    ['--allow network.host --allow security.insecure', { allow: ['network.host', 'security.insecure'] }],
    ['--allow network.host --allow network.host', { allow: ['network.host'] }],
    ['--security-opt no-new-privileges', { noNewPrivileges: true }],
    ['--security-opt no-new-privileges:true', { noNewPrivileges: true }],
    [
      '--security-opt no-new-privileges --security-opt minimal',
      { noNewPrivileges: true, security: 'minimal' },
    ],
    ['--userns auto', { userns: 'auto' }],
    ['--timeout 30m --step-timeout 90s', { timeoutMs: 1_800_000, stepTimeoutMs: 90_000 }],
    ['--on-error', { onError: 'ls -l' }, ['ls -l']],
  ] as readonly [string, object, (readonly string[])?][])('%s', (text, wanted, rest = []) => {
    expect(parse([...text.split(' '), ...rest])).toMatchObject(wanted)
  })

  it('--proxy-network is no flag', () => {
    expect(() => parse(['--proxy-network'])).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })

  it('asks for no limit, no right and no time where no flag does', () => {
    const options = parse([])
    expect(options).toMatchObject({ allow: [], ulimits: [] })
    const others = [
      options.limits,
      options.stepLimits,
      options.shmSizeBytes,
      options.cgroupParent,
      options.security,
      options.noNewPrivileges,
      options.userns,
      options.timeoutMs,
      options.stepTimeoutMs,
      options.onError,
    ]
    expect(others.every((value) => value === undefined)).toBe(true)
  })

  it.each(['--security-opt no-new-privileges=false', '--isolation default', '--isolation process'])(
    '%s asks for nothing',
    (text) => {
      expect(parse(text.split(' '))).toEqual({ ...parse([]), stdin: expect.anything() })
    },
  )

  it.each([
    ['--allow network.hots', 'ERR_USAGE', 'Did you mean `network.host`?'],
    ['--allow all', 'ERR_USAGE', 'Known are network.host and security.insecure.'],
    ['--allow device', 'ERR_UNSUPPORTED', 'Known are network.host and security.insecure.'],
    ['--allow device=vendor.com/class', 'ERR_UNSUPPORTED', 'Known are network.host and security.insecure.'],
    ['--resource memroy=1g', 'ERR_USAGE', 'Did you mean `memory`?'],
    ['--resource constructor=1', 'ERR_USAGE', 'Known are memory, '],
    ['--security-opt seccomp=unconfined', 'ERR_UNSUPPORTED', '--allow security.insecure'],
    ['--security-opt apparmor=mine', 'ERR_UNSUPPORTED', '--allow security.insecure'],
  ])('%s is refused with a hint', (text, code, hint) => {
    expect(() => parse(text.split(' '))).toThrow(
      expect.objectContaining({ code, hints: expect.arrayContaining([expect.stringContaining(hint)]) }),
    )
  })

  it.each([
    ['--resource memory', 'Cannot use --resource "memory": expected `name=value`'],
    [
      '--resource memory=x',
      'Cannot use value "x" of --resource memory: expected a size such as `512m` or `2g`',
    ],
    ['--resource memory-swap=1g', 'Cannot use --resource memory-swap without --resource memory'],
    ['--memory-swap 1g', 'Cannot use --memory-swap without --memory'],
    ['--cpus 1 --cpu-quota 1000', 'Cannot use both --cpus and --cpu-quota: they say the same'],
    ['--pids-limit many', 'Cannot use value "many" of --pids-limit'],
    ['--cgroup-parent /', 'Cannot use value "/" of --cgroup-parent'],
    ['--cgroup-parent a/../..', 'Cannot use value "a/../.." of --cgroup-parent'],
    ['--security-opt nosuch', 'Cannot use --security-opt "nosuch"'],
    ['--security-opt no-new-privileges=maybe', 'Cannot use --security-opt "no-new-privileges=maybe"'],
    ['--on-error=', 'Cannot use value "" of --on-error: expected a command'],
    ['--userns host', 'Cannot use value "host" of --userns'],
    ['--timeout 30', 'Cannot use value "30" of --timeout'],
    ['--step-timeout soon', 'Cannot use value "soon" of --step-timeout'],
    ['--isolation hyperv', 'Cannot use --isolation "hyperv"'],
  ])('%s is refused', (text, message) => {
    expect(() => parse(text.split(' '))).toThrow(message)
  })
})
