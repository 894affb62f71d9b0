import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noLimits } from '@tsbuild/native'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ExecutorOptions, Process } from './index.ts'
import { cgroups, type FakeBehaviour, type FakeRun, succeeded } from './testing/fake-native.ts'
import { executorOver, output, process } from './testing/process.ts'

/** A file of the test. */
function file(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'tsbuild-executor-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'file')
  writeFileSync(path, text)
  return path
}

const resolver = (text: string) => ({ resolvConf: file(text), systemd: '/nonexistent' })

/** Runs one process and gives the request that the helper got. */
async function requestOf(
  changed: Partial<Process> = {},
  options: Partial<ExecutorOptions> = {},
  behaviour: FakeBehaviour = {},
) {
  const { run, runs } = executorOver(behaviour, options)
  await run(changed)
  expect(runs).toHaveLength(1)
  return runs[0]?.request
}

describe('createExecutor()', () => {
  it('run() says what the helper warns of, unless the caller listens itself', async () => {
    const warn = async ({ options }: FakeRun) => {
      options.onWarning?.('devices are open')
      return succeeded
    }
    const { run, executor, notices } = executorOver({ run: warn })
    await run()
    expect(notices).toEqual(['Sandbox: devices are open'])
    const heard: string[] = []
    await executor.run(process, output, { onWarning: (text) => heard.push(text) }).finished
    expect([heard, notices.length]).toEqual([['devices are open'], 1])
  })

  it('run() hands the process to the helper, complete', async () => {
    const { executor, runs } = executorOver({}, { resolver: resolver('nameserver 10.0.0.1\n') })
    const { signal } = new AbortController()
    const { outcome, finished } = executor.run(process, output, { signal, layerFd: 3 })
    expect(await outcome).toBe(succeeded)
    expect(await finished).toBeUndefined()
    const [given] = runs
    expect(given?.output).toBe(output)
    expect(given?.options).toEqual({
      signal: expect.any(AbortSignal),
      layerFd: 3,
      namespaces: undefined,
      onWarning: expect.any(Function),
    })
    expect(given?.request).toEqual({
      root: process.root,
      argv: ['/bin/sh', '-c', 'x'],
      env: ['PATH=/bin', 'http_proxy=own'],
      cwd: '/c',
      user: 'u',
      hostname: 'box',
      network: 'none',
      hosts: '127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n',
      resolvConf: 'nameserver 10.0.0.1\n',
      mounts: [],
      trustCa: null,
      readonly: false,
      shmSizeBytes: null,
      ulimits: [],
      security: 'sandbox',
      noNewPrivileges: false,
      userNamespace: null,
      terminal: false,
      cgroups,
      limits: noLimits,
      stopGraceMs: 500,
      id: '2',
    })
  })

  it.each([
    ['default', 'nameserver 10.0.2.3\n'],
    ['host', 'nameserver 127.0.0.53\n'],
    ['none', expect.not.stringContaining('127.0.0.53')],
  ] as const)(
    'run() gives a process with network %s the resolver that it can reach',
    async (network, text) => {
      const request = await requestOf(
        { network },
        { allow: ['network.host'], resolver: resolver('nameserver 127.0.0.53\n') },
      )
      expect(request?.resolvConf).toEqual(text)
    },
  )

  it('run() gives proxies to a process that does not set them itself', async () => {
    const proxyEnv = ['HTTP_PROXY=p', 'http_proxy=p', 'NO_PROXY=n', 'no_proxy=n']
    const request = await requestOf({ env: ['PATH=/bin', 'http_proxy=own', 'NO_PROXY='] }, { proxyEnv })
    expect(request?.env).toEqual(['HTTP_PROXY=p', 'no_proxy=n', 'PATH=/bin', 'http_proxy=own', 'NO_PROXY='])
  })

  it('run() joins certificates with one line feed behind each', async () => {
    const request = await requestOf({}, { trustCa: ['A\n\n', ' B'] })
    expect(request?.trustCa).toBe('A\nB\n')
  })

  it('run() asks for an id for every process', async () => {
    const { run, runs, sessions } = executorOver()
    for (const _ of [1, 2]) await run()
    expect(sessions.map(({ request }) => request.id)).toEqual(['1'])
    expect(runs.map(({ request }) => request.id)).toEqual(['2', '3'])
  })

  it.each([
    ['sandbox', 'sandbox', 'sandbox'],
    ['sandbox', 'minimal', 'minimal'],
    ['insecure', 'sandbox', 'insecure'],
    ['insecure', 'minimal', 'insecure'],
  ] as const)(
    'run() gives a %s process of a %s executor the rules of %s',
    async (asked, general, expected) => {
      const options = { security: general, allow: ['security.insecure'] } as const
      expect((await requestOf({ security: asked }, options))?.security).toBe(expected)
    },
  )

  it('run() gives the limits of each process, and what else the options say of each', async () => {
    const processLimits = { ...noLimits, pids: 7 }
    expect(await requestOf({}, { processLimits, noNewPrivileges: true })).toMatchObject({
      limits: processLimits,
      noNewPrivileges: true,
    })
  })

  it('run() rejects with what the helper reports, from both promises', async () => {
    const failure = new Error('no')
    const { executor } = executorOver({ run: () => Promise.reject(failure) })
    const { outcome, finished } = executor.run(process, output, {})
    await expect(outcome).rejects.toBe(failure)
    await expect(finished).rejects.toBe(failure)
  })
})

describe('createExecutor() with userns auto', () => {
  const range = (outside: number) => [{ inside: 0, outside, length: 65_536 }]

  it.each([
    ['nobody reserved any', '', 100_000],
    ['ours', 'root:1:65536\ncontainers:300000:65536\ntsbuild:200000:65536\n', 200_000],
    ["podman's", 'containers:300000:131072\n', 300_000],
    ['none too small', 'tsbuild:200000:65535\ncontainers:300000:65536\n', 300_000],
    ["nobody else's", 'a:231072:65536\nb:100000:65536\nc:165536:10\nd:9:5\n', 296_608],
    ['a gap that is large enough', 'a:100000:65536\nb:231072:65536\n', 165_536],
    ['nothing malformed', 'tsbuild:x:65536\ntsbuild:1:2:3\n# tsbuild\n', 100_000],
  ])('run() takes ids that are granted for this: %s', async (_, subuid, outside) => {
    const subordinateIds = { subuid: file(subuid), subgid: '/nonexistent' }
    const request = await requestOf({}, { userns: 'auto', subordinateIds })
    expect(request?.userNamespace).toEqual({ uids: range(outside), gids: range(100_000) })
  })

  it('run() adds none as an ordinary user, whose processes are in one anyway', async () => {
    const request = await requestOf({}, { userns: 'auto' }, { rootless: true })
    expect(request?.userNamespace).toBeNull()
  })
})

describe('createExecutor() as the authority on what is allowed (RUN-10)', () => {
  const kinds = ['RUN', 'debug shell', 'image'] as const
  const rows = [true, false].flatMap((allowed) =>
    [true, false].flatMap((asked) => kinds.map((kind) => ({ allowed, asked, kind }))),
  )

  /** Everything that runs a process does so by a `Process`; these are what the three differ in. */
  const shapes = {
    RUN: {},
    'debug shell': { terminal: true, args: ['/bin/sh'] },
    image: { terminal: true, readOnly: true },
  } as const

  it.each(rows)('run() of a $kind: allowed $allowed, asked for $asked', async ({ allowed, asked, kind }) => {
    const wanted = [
      { security: asked ? 'insecure' : 'sandbox', entitlement: 'security.insecure' },
      { network: asked ? 'host' : 'none', entitlement: 'network.host' },
    ] as const
    for (const { entitlement, ...asks } of wanted) {
      const { run, runs, sessions } = executorOver({}, { allow: allowed ? [entitlement] : [] })
      const ended = run({ ...shapes[kind], ...asks })
      if (asked && !allowed) {
        await expect(ended).rejects.toMatchObject({
          code: 'ERR_ENTITLEMENT',
          message: `Cannot use entitlement "${entitlement}": it is not allowed`,
        })
        expect([runs.length, sessions.length]).toEqual([0, 0])
      } else {
        await ended
        expect(runs).toHaveLength(1)
      }
    }
  })

  it('run() does not take one entitlement for another', async () => {
    const { run } = executorOver({}, { allow: ['network.host'] })
    await expect(run({ network: 'host', security: 'insecure' })).rejects.toMatchObject({
      code: 'ERR_ENTITLEMENT',
    })
  })
})
