import { digestBytes } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import type { ExecOp } from '@tsbuild/graph'
import type { CacheRecord } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { execOp } from './exec-op.ts'
import { type Behaviour, recordingOptions, snapshotId, usage, vertexOf } from './testing/recording-options.ts'

const op: ExecOp = {
  kind: 'exec',
  rootfs: undefined,
  args: ['/bin/sh', '-c', 'make'],
  env: ['A=1'],
  cwd: '/src',
  user: 'app',
  network: 'none',
  hostname: 'box',
  extraHosts: [],
  security: 'sandbox',
  mounts: [],
  ulimits: [],
  shmSizeBytes: undefined,
  cgroupParent: undefined,
  platform: 'linux/amd64',
  scripts: [],
}
const vertex = digestBytes('vertex')

/** Runs the op over a process that behaves so. */
function start(behave: Behaviour, changed: Partial<ExecOp> = {}, content?: Promise<string>) {
  const recording = recordingOptions(behave, {}, content)
  const events: BuildEvent[] = []
  const { signal } = new AbortController()
  const made = { ...op, ...changed }
  const executed = execOp(made, 0, recording.options).execute([], {
    vertex: vertexOf(made, vertex),
    signal,
    events: (event) => void events.push(event),
  })
  return { ...recording, executed, events, signal }
}

describe('execOp() when it runs', () => {
  it('execute() gives the process the fields of the op, the snapshot and what follows it', async () => {
    const limits = [
      { name: 'nofile', soft: 1024, hard: undefined },
      { name: 'core', soft: undefined, hard: undefined },
    ]
    const { executed, processes, signal } = start(async () => ({}), { ulimits: limits, shmSizeBytes: 4096 })
    await executed
    const { args, env, cwd, user, network, security, hostname, extraHosts } = op
    expect(processes).toEqual([
      {
        ...{ args, env, cwd, user, network, security, hostname, extraHosts },
        mounts: [],
        ulimits: [
          { name: 'nofile', soft: 1024, hard: null },
          { name: 'core', soft: null, hard: null },
        ],
        shmSizeBytes: 4096,
        readOnly: false,
        terminal: false,
        root: { lower: ['/lower'], upper: '/upper', work: '/work' },
        finishing: { layerFd: 9, signal },
      },
    ])
  })

  it('execute() gives its result before the commit, and the commit stores the record under every key', async () => {
    const { executed, calls, records } = start(async () => ({}))
    const { result, stored, commit } = await executed
    expect(calls).toEqual(['prepare', 'run'])
    expect(result).toEqual({
      kind: 'filesystem',
      filesystem: { layers: [{ kind: 'snapshot', id: snapshotId, createdAt: 42 }] },
    })
    expect(stored).toEqual({ snapshot: snapshotId, createdAt: 42 })
    const keys = [digestBytes('definition'), digestBytes('content')]
    const record: CacheRecord = {
      outputKey: digestBytes('output'),
      name: 'RUN',
      op: null,
      inputs: [],
      stored,
      createdAt: 42,
      durationMs: 0,
    }
    await commit(keys, record)
    expect(calls).toEqual(['prepare', 'run', 'commit'])
    expect(records).toEqual([{ keys, text: expect.stringContaining(digestBytes('output')) }])
  })

  it('execute() waits for the content of what the process left, and gives it', async () => {
    let tell: (digest: string) => void = () => {}
    const told = new Promise<string>((resolve) => {
      tell = resolve
    })
    const { executed } = start(async () => ({}), {}, told)
    const first = await Promise.race([executed, new Promise((resume) => setImmediate(resume, 'waiting'))])
    expect(first).toBe('waiting')
    tell(digestBytes('layer'))
    expect((await executed).content).toBe(digestBytes('layer'))
    expect((await start(async () => ({})).executed).content).toBeUndefined()
  })

  it('execute() fails, and deletes the snapshot, when the content cannot be told', async () => {
    const failure = new Error('EIO')
    const content = Promise.reject(failure)
    content.catch(() => {})
    const { executed, calls } = start(async () => ({}), {}, content)
    await expect(executed).rejects.toBe(failure)
    expect(calls).toEqual(['prepare', 'run', 'release'])
  })

  it('execute() sends what the process writes, in order, with its stream', async () => {
    const { executed, events } = start(async ({ onStdout, onStderr }) => {
      onStdout(Buffer.from('a'))
      onStderr(Buffer.from('b'))
      onStdout(Buffer.from([0xff]))
      return {}
    })
    await executed
    const log = { type: 'vertex.log', vertex, at: 42 }
    expect(events).toEqual([
      { ...log, stream: 'stdout', data: Buffer.from('a') },
      { ...log, stream: 'stderr', data: Buffer.from('b') },
      { ...log, stream: 'stdout', data: Buffer.from([0xff]) },
      { type: 'vertex.usage', vertex, ...usage, at: 42 },
    ])
  })

  it('execute() rejects with ERR_STEP_FAILED and the last lines, and deletes the snapshot', async () => {
    const { executed, calls } = start(async ({ onStdout, onStderr }) => {
      onStdout(Buffer.from('one\ntwo'))
      onStderr(Buffer.from('!\n'))
      return { exitCode: 7 }
    })
    await expect(executed).rejects.toMatchObject({
      code: 'ERR_STEP_FAILED',
      message: 'Process "/bin/sh -c make" did not complete successfully: exit code: 7',
      details: { exitCode: 7, lastLines: ['one', 'two!'] },
    })
    expect(calls).toEqual(['prepare', 'run', 'release'])
  })

  it.each([
    [
      127,
      'tsbuild: cannot run "/bin/sh": no such file or directory\n',
      [expect.stringContaining('The image has no /bin/sh')],
    ],
    [127, '/bin/sh: 1: make: not found\n', []],
    [1, 'tsbuild: cannot run "/bin/sh": no such file or directory\n', []],
  ])('execute() says where there is no shell: %i, %j', async (exitCode, said, hints) => {
    const { executed } = start(async ({ onStderr }) => {
      onStderr(Buffer.from(said))
      return { exitCode }
    })
    await expect(executed).rejects.toMatchObject({ code: 'ERR_STEP_FAILED', hints })
  })

  it('execute() says what a step that failed used, and which limit it met', async () => {
    const { executed, events } = start(async () => ({
      exitCode: 137,
      exceeded: { resource: 'memory', owner: 'session' },
    }))
    await expect(executed).rejects.toMatchObject({ code: 'ERR_STEP_OOM' })
    expect(events).toEqual([{ type: 'vertex.usage', vertex, ...usage, at: 42 }])
  })

  it('execute() deletes the snapshot when the process cannot be run at all', async () => {
    const failure = new Error('no helper')
    const { executed, calls } = start(() => Promise.reject(failure))
    await expect(executed).rejects.toBe(failure)
    expect(calls).toEqual(['prepare', 'run', 'release'])
  })
})
