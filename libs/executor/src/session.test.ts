import { EnvironmentError } from '@tsbuild/errors'
import { noLimits } from '@tsbuild/native'
import { describe, expect, it } from 'vitest'
import { type FakeBehaviour, succeeded } from './testing/fake-native.ts'
import { executorOver } from './testing/process.ts'

const allow = ['network.host'] as const
const pasta = { tool: 'pasta', ports: [] }
const slirp = { tool: 'slirp4netns', ports: [] }

const missing = (tool: string) =>
  new EnvironmentError('ERR_TOOL_MISSING', `Cannot find program "${tool}": it is not installed`)

/** A machine on which the named tools cannot connect. */
const without = (...tools: readonly string[]): FakeBehaviour => ({
  disconnect: ({ network }) =>
    network !== null && tools.includes(network.tool) ? missing(network.tool) : undefined,
})

describe('the session of an executor', () => {
  it('is not made before the first process', async () => {
    const { executor, sessions } = executorOver()
    expect(sessions).toEqual([])
    await executor.close()
    expect(sessions).toEqual([])
  })

  it('is one for all processes, with the network when the first one wants it', async () => {
    const { run, runs, sessions } = executorOver({}, { allow })
    await run({ network: 'default' })
    await Promise.all([run({ network: 'default' }), run({ network: 'none' }), run({ network: 'host' })])
    expect(sessions.map(({ request }) => request.network)).toEqual([pasta])
    expect(runs.map(({ request }) => request.network)).toEqual(['session', 'session', 'none', 'host'])
    expect(runs.map(({ options }) => options.namespaces)).toEqual([
      sessions[0]?.namespaces,
      sessions[0]?.namespaces,
      undefined,
      undefined,
    ])
  })

  it('is one when all want it at the same time', async () => {
    const { run, sessions } = executorOver()
    await Promise.all(Array.from({ length: 5 }, () => run({ network: 'default' })))
    expect(sessions).toHaveLength(1)
  })

  it('has no network when nothing needs it', async () => {
    const { run, sessions } = executorOver({}, { allow })
    await run({ network: 'none' })
    await run({ network: 'host' })
    expect(sessions.map(({ request }) => request.network)).toEqual([null])
  })

  it('is followed by one for the network alone when a later process wants it', async () => {
    const limits = { ...noLimits, pids: 100 }
    const { run, runs, sessions } = executorOver({}, { limits })
    await run({ network: 'none' })
    await run({ network: 'default' })
    await run({ network: 'default' })
    expect(sessions.map(({ request }) => [request.network, request.limits.pids])).toEqual([
      [null, 100],
      [pasta, null],
    ])
    expect(runs.map(({ options }) => options.namespaces)).toEqual([
      undefined,
      sessions[1]?.namespaces,
      sessions[1]?.namespaces,
    ])
  })

  it('has the limits and the cgroup that were asked for, and defaults for the rest', async () => {
    const { run, sessions } = executorOver(
      {},
      {
        limits: { ...noLimits, memoryBytes: 1 },
        defaultLimits: { ...noLimits, memoryBytes: 2, pids: 3 },
        cgroupParent: 'ci/jobs',
      },
    )
    await run()
    expect(sessions[0]?.request).toMatchObject({
      cgroupParent: 'ci/jobs',
      limits: { ...noLimits, memoryBytes: 1, pids: 3 },
    })
  })

  it('is ended by close(), each one once', async () => {
    const { run, executor, sessions } = executorOver()
    await run({ network: 'none' })
    await run({ network: 'default' })
    await executor.close()
    expect(sessions.map(({ ends }) => ends)).toEqual([1, 1])
    await expect(run()).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
  })
})

describe('the private network of an executor', () => {
  it('is made by slirp4netns where pasta is missing', async () => {
    const { run, runs, sessions, notices } = executorOver(without('pasta'))
    await run({ network: 'default' })
    expect(sessions.map(({ request }) => request.network)).toEqual([pasta, slirp])
    expect(sessions[0]?.ends).toBe(1)
    expect(runs[0]?.options.namespaces).toBe(sessions[1]?.namespaces)
    expect(notices).toEqual([])
  })

  it('is that of the machine where neither is installed, which is said once', async () => {
    const { run, runs, sessions, notices } = executorOver(without('pasta', 'slirp4netns'))
    for (const _ of [1, 2]) await run({ network: 'default' })
    expect(runs.map(({ request }) => request.network)).toEqual(['host', 'host'])
    expect(sessions.map(({ request }) => request.network)).toEqual([pasta, slirp, null])
    expect(notices).toEqual([expect.stringContaining('apt-get install passt')])
    expect(notices[0]).toMatch(/^PrivateNetworkMissing: .*neither pasta nor slirp4netns is installed/)
  })

  it('says why where a tool is there and does not work', async () => {
    const broken: FakeBehaviour = {
      disconnect: ({ network }) =>
        network?.tool === 'pasta'
          ? new EnvironmentError('ERR_NETWORK', 'pasta: no /dev/net/tun')
          : missing('slirp4netns'),
    }
    const { run, notices } = executorOver(broken)
    await run({ network: 'default' })
    expect(notices).toEqual([expect.stringContaining('pasta: no /dev/net/tun')])
    expect(notices[0]).not.toContain('apt-get')
  })

  it('says the reason alone of all that pasta says', async () => {
    const said =
      'router: fd00::1; Failed to send 45 bytes to syslog; our link-local: fe80::1; Failed to send 45 bytes to syslog; Failed to open tun socket in namespace'
    const failure = new EnvironmentError('ERR_NETWORK', `pasta does not connect the network: ${said}`)
    const { run, notices } = executorOver({ disconnect: () => failure })
    await run({ network: 'default' })
    expect(notices[0]).toContain(
      'none can be made: pasta does not connect the network: Failed to open tun socket in namespace. See',
    )
  })

  it('is not replaced when something else goes wrong', async () => {
    const denied = new EnvironmentError('ERR_NAMESPACE_DENIED', 'unshare: EPERM')
    const { run, sessions, notices } = executorOver({ disconnect: () => denied })
    await expect(run({ network: 'default' })).rejects.toBe(denied)
    expect([sessions.length, notices]).toEqual([1, []])
  })

  it('is not replaced by that of the machine where it is only slow: a step may have made it so', async () => {
    const slow = new EnvironmentError('ERR_SESSION_LOST', 'pasta did not connect the network within 10 s')
    const { run, runs, notices } = executorOver({ disconnect: () => slow })
    await expect(run({ network: 'default' })).rejects.toBe(slow)
    expect([runs, notices]).toEqual([[], []])
  })

  it('is not replaced where it should publish ports', async () => {
    const ports = [{ address: '127.0.0.1', host: 80, inside: 80, protocol: 'tcp' }] as const
    const { run, runs, sessions } = executorOver(without('pasta', 'slirp4netns'), { ports })
    await expect(run({ network: 'default' })).rejects.toMatchObject({
      code: 'ERR_TOOL_MISSING',
      hints: [expect.stringContaining('tsbuild doctor')],
    })
    expect(sessions[0]?.request.network).toEqual({ tool: 'pasta', ports })
    expect(runs).toEqual([])
  })
})

describe('a session that is lost', () => {
  const killed = new Error('the helper ended with signal SIGKILL')

  it('ends what runs in it, and fails what would', async () => {
    const { run, sessions } = executorOver({
      run: ({ options }) =>
        new Promise((_, reject) => {
          options.signal?.addEventListener('abort', () => reject(new Error('stopped')))
          sessions[0]?.lose(killed)
        }),
    })
    const expected = { code: 'ERR_SESSION_LOST', kind: 'environment', cause: killed }
    await expect(run()).rejects.toMatchObject(expected)
    await expect(run()).rejects.toMatchObject(expected)
  })

  it('is no failure when it comes with close()', async () => {
    const { run, executor, sessions } = executorOver()
    await run()
    const closed = executor.close()
    sessions[0]?.lose(killed)
    await expect(closed).resolves.toBeUndefined()
  })
})

describe('limits that a machine cannot enforce', () => {
  const unlimited = [{ limit: 'memoryBytes', reason: 'there is no memory controller' }]
  const nothing: FakeBehaviour = { parts: { cgroups: [], unlimited } }

  it('run() rejects with ERR_CGROUP where one was asked for', async () => {
    const { run, runs } = executorOver(nothing, { limits: { ...noLimits, memoryBytes: 1024 } })
    await expect(run()).rejects.toMatchObject({
      code: 'ERR_CGROUP',
      message: 'Cannot enforce limit "--memory": there is no memory controller',
      hints: expect.arrayContaining([expect.stringContaining('tsbuild doctor')]),
    })
    expect(runs).toEqual([])
  })

  it.each([
    ['memoryBytes', '--resource memory', 'memory'],
    ['cpuQuotaMicros', '--resource cpu-quota', 'cpu'],
    ['pids', '--resource pids-limit', 'pids'],
    ['ioWeight', '--resource blkio-weight', 'blkio or io'],
  ] as const)(
    'run() rejects with ERR_CGROUP where %s was asked for each',
    async (name, flag, controllers) => {
      const { run } = executorOver(nothing, { processLimits: { ...noLimits, [name]: 100 } })
      await expect(run()).rejects.toThrow(
        `Cannot enforce limit "${flag}": no ${controllers} controller can be used here`,
      )
    },
  )

  it('run() goes without where only a default says so', async () => {
    const { run } = executorOver(nothing, { defaultLimits: { ...noLimits, memoryBytes: 1024 } })
    expect(await run()).toBe(succeeded)
  })

  it('run() goes without a limit of swap that is only implied', async () => {
    const parts = { unlimited: [{ limit: 'memorySwapBytes', reason: 'swap is not counted' }] }
    const asked = (memorySwapBytes: number) =>
      executorOver({ parts }, { limits: { ...noLimits, memoryBytes: 1024, memorySwapBytes } })
    expect(await asked(2048).run()).toBe(succeeded)
    await expect(asked(4096).run()).rejects.toThrow('--memory-swap')
  })
})

describe('limitOf()', () => {
  const { executor } = executorOver(
    {},
    {
      limits: { ...noLimits, memoryBytes: 100 },
      processLimits: { ...noLimits, memoryBytes: 10 },
      defaultLimits: { ...noLimits, memoryBytes: 1000, pids: 50 },
    },
  )
  it.each([
    ['memory', 'run', { amount: 10, owner: 'process' }],
    ['memory', 'session', { amount: 100, owner: 'build' }],
    ['pids', 'session', { amount: 50, owner: 'default' }],
  ] as const)('limitOf() says whose limit of %s a %s has exceeded', (resource, owner, limit) => {
    expect(executor.limitOf({ resource, owner })).toEqual({ resource, ...limit })
  })

  it('limitOf() says that the limit is none of ours where none was set', () => {
    const bare = executorOver().executor
    expect(bare.limitOf({ resource: 'memory', owner: 'session' })).toEqual({
      resource: 'memory',
      amount: null,
      owner: 'machine',
    })
  })
})
