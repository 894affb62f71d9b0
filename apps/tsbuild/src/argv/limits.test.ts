import { parseSize } from '@tsbuild/command-line'
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { limitOptions, parseLimits, parseShmSize, parseUlimits, ulimitOption } from './limits.ts'

const gib = 1024 ** 3
const usage = (message: RegExp) =>
  expect.objectContaining({ code: 'ERR_USAGE', message: expect.stringMatching(message) })
const thrown = (action: () => unknown): unknown => {
  try {
    return action()
  } catch (error) {
    return error
  }
}

describe('parseSize()', () => {
  it.each([
    ['0', 0],
    ['1024', 1024],
    ['64b', 64],
    ['1k', 1024],
    ['512m', gib / 2],
    ['512M', gib / 2],
    ['2g', 2 * gib],
    ['1.5GiB', 1.5 * gib],
    ['64 kb', 65_536],
    ['1t', 1024 * gib],
    ['0.3k', 307],
  ])('reads %s as docker does', (text, bytes) => {
    expect(parseSize('--memory', text)).toBe(bytes)
  })

  it.each(['', 'lots', '-1', '1e3', '5x', '1..5g', 'g', '1 024', '8193p', '9'.repeat(400), '١g'])(
    'refuses %j with an example',
    (text) => {
      expect(thrown(() => parseSize('--memory', text))).toEqual(
        usage(/^Cannot use value ".*" of --memory: expected a size such as `512m` or `2g`$/),
      )
    },
  )
})

describe('parseLimits()', () => {
  it('gives nothing where nothing is limited', () => {
    expect(parseLimits({})).toBeUndefined()
    expect(
      parseLimits({ memory: '0', cpus: '0', cpuShares: '0', pidsLimit: '0', cpuQuota: '-1', cpusetCpus: '' }),
    ).toBeUndefined()
  })

  it.each([
    [{ memory: '1g' }, { memoryBytes: gib, memorySwapBytes: 2 * gib }],
    [
      { memory: '1g', memorySwap: '1g' },
      { memoryBytes: gib, memorySwapBytes: gib },
    ],
    [{ memory: '1g', memorySwap: '-1' }, { memoryBytes: gib }],
    [
      { memory: '1g', memorySwap: '0' },
      { memoryBytes: gib, memorySwapBytes: 2 * gib },
    ],
    [{ cpus: '1.5' }, { cpuPeriodMicros: 100_000, cpuQuotaMicros: 150_000 }],
    [{ cpus: '.5' }, { cpuPeriodMicros: 100_000, cpuQuotaMicros: 50_000 }],
    [
      { cpuPeriod: '50000', cpuQuota: '25000' },
      { cpuPeriodMicros: 50_000, cpuQuotaMicros: 25_000 },
    ],
    [
      { cpuShares: '512', cpusetCpus: '0-3,5', cpusetMems: '0' },
      { cpuShares: 512, cpusetCpus: '0-3,5', cpusetMems: '0' },
    ],
    [{ pidsLimit: '100' }, { pids: 100 }],
    [{ pidsLimit: '-1' }, { pids: 4_194_304 }],
    [{ blkioWeight: '500' }, { ioWeight: 500 }],
  ])('reads %j', (flags, limits) => {
    const given = Object.entries(parseLimits(flags) ?? {}).filter(([, limit]) => limit !== undefined)
    expect(Object.fromEntries(given)).toEqual(limits)
  })

  it.each([
    [{ memory: '5m' }, /--memory: expected 6m or more/],
    [{ memory: '1g', memorySwap: '512m' }, /--memory-swap: expected at least 1g/],
    [{ memorySwap: '1g' }, /Cannot use --memory-swap without --memory/],
    [{ cpus: '0.001' }, /--cpus: expected a number of processors from 0.01 on/],
    [{ cpus: 'two' }, /--cpus: expected a number of processors/],
    [{ cpus: '-1' }, /--cpus: expected a number of processors/],
    [{ cpus: '1.' }, /--cpus: expected a number of processors/],
    [{ cpus: '9'.repeat(30) }, /--cpus: expected a number of processors/],
    [{ cpus: '1', cpuQuota: '1000' }, /Cannot use both --cpus and --cpu-quota/],
    [{ cpus: '1', cpuPeriod: '1000' }, /Cannot use both --cpus and --cpu-period/],
    [{ cpuPeriod: '999' }, /--cpu-period: expected a whole number from 1000 to 1000000/],
    [{ cpuQuota: '10' }, /--cpu-quota: expected a whole number from 1000 on/],
    [{ cpuShares: '1' }, /--cpu-shares: expected a whole number from 2 to 262144/],
    [{ cpusetCpus: '3-0' }, /--cpuset-cpus: expected numbers and ranges such as `0-3,5`/],
    [{ cpusetMems: 'all' }, /--cpuset-mems: expected numbers and ranges/],
    [{ cpusetCpus: '0,\n1' }, /--cpuset-cpus: expected numbers and ranges/],
    [{ pidsLimit: '1.5' }, /--pids-limit: expected a whole number from 1 to 4194304/],
    [{ pidsLimit: '-2' }, /--pids-limit: expected a whole number/],
    [{ blkioWeight: '5' }, /--blkio-weight: expected a whole number from 10 to 1000/],
  ])('refuses %j and says what the flag takes', (flags, message) => {
    expect(thrown(() => parseLimits(flags))).toEqual(usage(message))
  })

  it('names a limit as its caller does', () => {
    expect(thrown(() => parseLimits({ memory: 'x' }, (name) => `--resource ${name}`))).toEqual(
      usage(/^Cannot use value "x" of --resource memory:/),
    )
  })
})

describe('parseUlimits()', () => {
  it.each([
    ['nofile=1024:4096', { name: 'nofile', soft: 1024, hard: 4096 }],
    ['nproc=100', { name: 'nproc', soft: 100, hard: 100 }],
    ['core=0:-1', { name: 'core', soft: 0, hard: undefined }],
    ['memlock=-1:-1', { name: 'memlock', soft: undefined, hard: undefined }],
  ])('reads %s', (text, ulimit) => {
    expect(parseUlimits([text])).toEqual([ulimit])
  })

  it('takes the last one of a name', () => {
    expect(parseUlimits(['nofile=1', 'core=0', 'nofile=2'])).toEqual([
      { name: 'nofile', soft: 2, hard: 2 },
      { name: 'core', soft: 0, hard: 0 },
    ])
  })

  it.each([
    ['nofile', /expected `name=soft\[:hard\]`/],
    ['nofile=', /expected `name=soft/],
    ['nofile=1:2:3', /expected `name=soft/],
    ['nofile=1k', /expected `name=soft/],
    ['files=5', /expected one of the names core, cpu,/],
    ['nofile=10:5', /expected a soft limit that is not above the hard one/],
    ['nofile=-1:5', /expected a soft limit that is not above/],
  ])('refuses %s', (text, message) => {
    expect(thrown(() => parseUlimits([text]))).toEqual(usage(message))
  })
})

describe('parseShmSize()', () => {
  it('reads a size and refuses none', () => {
    expect(parseShmSize('128m')).toBe(128 * 1024 ** 2)
    expect(thrown(() => parseShmSize('0'))).toEqual(usage(/--shm-size: expected a size above 0/))
  })
})

describe('limitOptions()', () => {
  it('gives the flags whose values parseLimits() and parseUlimits() read', () => {
    const command = new Command()
    for (const option of [...limitOptions('Limits:'), ulimitOption('Limits:')]) command.addOption(option)
    const argv = '-m 1g --memory-swap -1 -c 2 --cpu-period 1000 --cpu-quota 1000 --cpuset-cpus 0'
    const more = '--cpuset-mems 0 --pids-limit -1 --blkio-weight 10 --ulimit core=0 --ulimit cpu=1'
    command.parse(`${argv} ${more}`.split(' '), { from: 'user' })
    expect(parseLimits(command.opts())).toEqual({
      memoryBytes: gib,
      cpuShares: 2,
      cpuPeriodMicros: 1000,
      cpuQuotaMicros: 1000,
      cpusetCpus: '0',
      cpusetMems: '0',
      pids: 4_194_304,
      ioWeight: 10,
    })
    expect(parseUlimits(command.opts<{ ulimit: string[] }>().ulimit)).toHaveLength(2)
    command.parse(['--cpus', '2'], { from: 'user' })
    expect(command.opts<{ cpus: string }>().cpus).toBe('2')
  })
})
