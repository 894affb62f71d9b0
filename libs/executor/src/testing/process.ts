import { noLimits } from '@tsbuild/native'
import { createExecutor, type ExecutorOptions, type Process } from '../index.ts'
import { type FakeBehaviour, fakeNative } from './fake-native.ts'

const root = { lower: ['/l'], upper: '/u', work: '/w' }

/** A process that asks for little. */
export const process: Process = {
  root,
  args: ['/bin/sh', '-c', 'x'],
  env: ['PATH=/bin', 'http_proxy=own'],
  cwd: '/c',
  user: 'u',
  network: 'none',
  hostname: 'box',
  extraHosts: [{ name: 'db', ip: '10.0.0.1' }],
  security: 'sandbox',
  mounts: [],
  ulimits: [],
  shmSizeBytes: null,
  readOnly: false,
  terminal: false,
}

/** Where the output of a test's processes goes. */
export const output = { kind: 'fds', stdin: null, stdout: 1, stderr: 2 } as const

/** An executor over a fake helper, with the ids `1`, `2` and so on. */
export function executorOver(behaviour: FakeBehaviour = {}, changed: Partial<ExecutorOptions> = {}) {
  const fake = fakeNative(behaviour)
  const notices: string[] = []
  let count = 0
  const executor = createExecutor({
    native: fake.native,
    randomId: () => String(++count),
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
    onNotice: (rule, message) => notices.push(`${rule}: ${message}`),
    resolver: { resolvConf: '/nonexistent/resolv.conf', systemd: '/nonexistent/systemd' },
    ...changed,
  })
  /** Runs one process to its end. */
  const run = async (changes: Partial<Process> = {}, options: { readonly signal?: AbortSignal } = {}) => {
    const { outcome, finished } = executor.run({ ...process, ...changes }, output, options)
    await finished
    return await outcome
  }
  return { ...fake, executor, run, notices }
}
