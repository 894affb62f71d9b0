import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Native, Staged } from '@tsbuild/native'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createExecutor, type ExecutorOptions, noLimits, type Process } from './index.ts'

type Run = Parameters<Native['run']>

/** What the helper answers; an executor hands it on as it is. */
const staged = {} as Staged<'run'>

/** The helper, as far as an executor uses it: it notes what it is asked to run. Anything else is refused. */
function recordingNative() {
  const runs: Run[] = []
  const run = (...call: Run): Staged<'run'> => {
    runs.push(call)
    return staged
  }
  const native = new Proxy({ run } as unknown as Native, {
    get(target, name) {
      if (name === 'run') return target.run
      throw new RangeError(`an executor does not use "${String(name)}"`)
    },
  })
  return { native, runs }
}

const defaults = {
  trustCa: [],
  proxyEnv: [],
  allow: [],
  limits: noLimits,
  processLimits: noLimits,
  cgroupParent: undefined,
  security: 'sandbox',
  noNewPrivileges: false,
  userns: undefined,
  ports: [],
  onNotice: () => {},
} as const satisfies Partial<ExecutorOptions>

const root = { lower: ['/l'], upper: '/u', work: '/w' } as unknown as Process['root']
const process: Process = {
  root,
  args: ['/bin/sh', '-c', 'x'],
  env: ['PATH=/bin', 'http_proxy=own'],
  cwd: '/c',
  user: 'u',
  network: 'default',
  hostname: 'box',
  extraHosts: [{ name: 'db', ip: '10.0.0.1' }],
  security: 'sandbox',
  mounts: [],
  ulimits: [],
  shmSizeBytes: null,
  readOnly: false,
  terminal: false,
}

/** The host's resolver as a file of the test. */
function resolvConf(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'tsbuild-executor-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'resolv.conf')
  writeFileSync(path, text)
  return path
}

/** Runs one process and gives the request that the helper got. */
function requestOf(changed: Partial<Process> = {}, options: Partial<ExecutorOptions> = {}) {
  const { native, runs } = recordingNative()
  const randomId = () => '0'.repeat(32)
  const executor = createExecutor({ ...defaults, native, randomId, ...options })
  const output = { kind: 'fds', stdin: null, stdout: 1, stderr: 2 } as const
  const finishing = { signal: new AbortController().signal, layerFd: 3 }
  expect(executor.run({ ...process, ...changed }, output, finishing)).toBe(staged)
  expect(runs).toHaveLength(1)
  const [[request, givenOutput, given] = []] = runs
  expect(givenOutput).toBe(output)
  expect(given).toBe(finishing)
  return request
}

describe('createExecutor()', () => {
  it('run() hands the process to the helper, complete', () => {
    const request = requestOf({}, { resolvConfPath: resolvConf('nameserver 127.0.0.53\n') })
    expect(request).toEqual({
      root,
      argv: ['/bin/sh', '-c', 'x'],
      env: ['PATH=/bin', 'http_proxy=own'],
      cwd: '/c',
      user: 'u',
      hostname: 'box',
      network: 'host',
      hosts: '127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n',
      resolvConf: 'nameserver 127.0.0.53\n',
      mounts: [],
      trustCa: null,
      readonly: false,
      shmSizeBytes: null,
      ulimits: [],
      security: 'sandbox',
      noNewPrivileges: false,
      userNamespace: null,
      terminal: false,
      cgroups: [],
      limits: noLimits,
      stopGraceMs: 500,
      id: '0'.repeat(32),
    })
  })

  it.each([
    ['default', 'host'],
    ['host', 'host'],
    ['none', 'none'],
  ] as const)('run() gives a process with network %s that of %s', (network, expected) => {
    expect(requestOf({ network })?.network).toBe(expected)
  })

  it('run() takes no loopback server along where there is no network', () => {
    const resolvConfPath = resolvConf('nameserver 127.0.0.53\nnameserver 10.0.0.1\n')
    const request = requestOf({ network: 'none' }, { resolvConfPath })
    expect(request?.resolvConf).toBe('nameserver 10.0.0.1\n')
  })

  it('run() works on a host without a resolver', () => {
    const request = requestOf({}, { resolvConfPath: '/nonexistent/resolv.conf' })
    expect(request?.resolvConf).toBe('')
  })

  it('run() gives proxies to a process that does not set them itself', () => {
    const proxyEnv = ['HTTP_PROXY=p', 'http_proxy=p', 'NO_PROXY=n', 'no_proxy=n']
    const request = requestOf({ env: ['PATH=/bin', 'http_proxy=own', 'NO_PROXY='] }, { proxyEnv })
    expect(request?.env).toEqual(['HTTP_PROXY=p', 'no_proxy=n', 'PATH=/bin', 'http_proxy=own', 'NO_PROXY='])
  })

  it('run() joins certificates with one line feed behind each', () => {
    const request = requestOf({}, { trustCa: ['A\n\n', ' B'] })
    expect(request?.trustCa).toBe('A\nB\n')
  })

  it('run() asks for an id for every process', () => {
    const { native, runs } = recordingNative()
    const ids = ['a', 'b'].map((digit) => digit.repeat(32))
    const rest = [...ids]
    const executor = createExecutor({ ...defaults, native, randomId: () => rest.shift() ?? '' })
    const output = { kind: 'fds', stdin: null, stdout: 1, stderr: 2 } as const
    for (const _ of ids) executor.run(process, output, {})
    expect(runs.map(([request]) => request.id)).toEqual(ids)
  })
})
