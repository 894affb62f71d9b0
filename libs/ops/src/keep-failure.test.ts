import { digestBytes } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import type { ExecOp } from '@tsbuild/graph'
import { describe, expect, it } from 'vitest'
import { execOp } from './exec-op.ts'
import { decodeFailure } from './failure-record.ts'
import type { OnError } from './keep-failure.ts'
import { type Behaviour, recordingOptions, snapshotId, vertexOf } from './testing/recording-options.ts'

const op: ExecOp = {
  kind: 'exec',
  rootfs: 0,
  args: ['/bin/bash', '-ec', 'make'],
  shell: ['/bin/bash', '-ec'],
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
const ref = 'ab'.repeat(12)
const base = { layers: [{ kind: 'snapshot', id: snapshotId, createdAt: 1 }] } as const
const onError: OnError = { command: 'cat log', timeoutMs: 60_000 }
const walls = { security: 'minimal', limits: { pids: 7 } } as const

/** Runs the step; each call of `behave` is a process. */
function start(behave: Behaviour, keeping: { onError?: OnError } = {}, changed: Partial<ExecOp> = {}) {
  const recording = recordingOptions(behave, {
    failure: { ref, walls, onError: keeping.onError },
    scratch: async () => '/scratch',
    scope: 'pr/7',
  })
  const events: BuildEvent[] = []
  const abort = new AbortController()
  const made = { ...op, ...changed }
  const vertex = vertexOf(made, digestBytes('vertex'))
  const executed = execOp(made, 1, recording.options).execute([{ kind: 'filesystem', filesystem: base }], {
    vertex,
    signal: abort.signal,
    events: (event) => void events.push(event),
  })
  executed.catch(() => {})
  const log = () =>
    events.map((event) => (event.type === 'vertex.log' ? Buffer.from(event.data).toString() : '')).join('')
  return { ...recording, executed, abort, log }
}

/** A process that says this and ends so; the ones after it end well. */
function failing(said = '', exitCode = 7): Behaviour {
  let calls = 0
  return async ({ onStdout, onStderr }) => {
    calls += 1
    if (calls > 1) onStdout(Buffer.from(`looked (${calls})\n`))
    else onStderr(Buffer.from(said))
    return { exitCode: calls > 1 ? 3 : exitCode }
  }
}

describe('a step that fails', () => {
  it('is kept with all that is needed to stand where it failed', async () => {
    const { executed, calls, kept } = start(failing('no\n'))
    await expect(executed).rejects.toMatchObject({
      code: 'ERR_STEP_FAILED',
      details: { exitCode: 7, lastLines: ['no'], failure: ref },
    })
    expect(calls).toEqual(['prepare', 'run', `keep ${ref}`])
    expect(decodeFailure(kept[0] ?? '')).toEqual({
      ref,
      at: 42,
      name: 'RUN',
      source: null,
      code: 'ERR_STEP_FAILED',
      exitCode: 7,
      scope: 'pr/7',
      walls,
      op: JSON.parse(JSON.stringify(op)),
      inputs: [base],
    })
  })

  it('leaves nothing when it was cancelled, or could not be run at all', async () => {
    const cancelled = start(() => new Promise((_, reject) => setImmediate(reject, new Error('cancelled'))))
    cancelled.abort.abort()
    const noHelper = start(() => Promise.reject(new Error('no helper')))
    for (const { executed, calls } of [cancelled, noHelper]) {
      await expect(executed).rejects.toThrow()
      expect(calls).toEqual(['prepare', 'run', 'release'])
    }
  })

  it.each([
    ['nobody keeps failures', undefined, 'release'],
    ['it cannot be kept', { ref: 'full', walls, onError: undefined }, 'keep full'],
  ])('is an error without a failure where %s', async (_, keeping, end) => {
    const { options, calls } = recordingOptions(failing(), { failure: keeping, scope: 'main' })
    const executed = execOp({ ...op, rootfs: undefined }, 0, options).execute([], {
      vertex: vertexOf(op, digestBytes('vertex')),
      signal: new AbortController().signal,
      events: () => {},
    })
    await expect(executed).rejects.toMatchObject({
      code: 'ERR_STEP_FAILED',
      details: { exitCode: 7, lastLines: [] },
    })
    await expect(executed).rejects.not.toHaveProperty('details.failure')
    expect(calls).toEqual(['prepare', 'run', end])
  })
})

describe('--on-error', () => {
  it('runs by the shell of the step upon what it left, in a layer that is thrown away, before it is kept', async () => {
    const { executed, calls, processes } = start(failing(), { onError })
    await expect(executed).rejects.toMatchObject({ details: { exitCode: 7, failure: ref } })
    expect(calls).toEqual([
      'prepare',
      'run',
      'overlay /upper,/lower',
      'run',
      'release overlay',
      `keep ${ref}`,
    ])
    const { args, root, finishing, ...same } = processes[1] ?? {}
    expect(args).toEqual(['/bin/bash', '-ec', 'cat log'])
    expect(root).toEqual({ lower: ['/upper', '/lower'], upper: '/upper-1', work: '/work-1' })
    expect(finishing).toEqual({ signal: expect.any(AbortSignal) })
    expect(processes[0]).toMatchObject(same)
  })

  it('runs by /bin/sh where the step names no shell', async () => {
    const { executed, processes } = start(failing(), { onError }, { args: ['/make'], shell: undefined })
    await expect(executed).rejects.toThrow()
    expect(processes[1]?.args).toEqual(['/bin/sh', '-c', 'cat log'])
  })

  it.each(['half a line', 'a line\n', ''])(
    'is said once in the log, on a line of its own, after %j',
    async (said) => {
      const { executed, log } = start(failing(said), { onError })
      await expect(executed).rejects.toMatchObject({
        details: { lastLines: said === '' ? [] : [said.trim()] },
      })
      const gap = said === 'half a line' ? '\n' : ''
      expect(log()).toBe(`${said}${gap}on-error: cat log\nlooked (2)\n`)
    },
  )

  it('does not run when the step was cancelled', async () => {
    const { executed, abort, calls } = start(() => new Promise((_, no) => setImmediate(no, new Error('x'))), {
      onError,
    })
    abort.abort()
    await expect(executed).rejects.toThrow('x')
    expect(calls).toEqual(['prepare', 'run', 'release'])
  })

  it('that fails to start leaves the error of the step, and is said', async () => {
    let calls = 0
    const { executed, log, kept } = start(
      async () => {
        calls += 1
        if (calls > 1) throw new Error('no namespace')
        return { exitCode: 1 }
      },
      { onError },
    )
    await expect(executed).rejects.toMatchObject({ code: 'ERR_STEP_FAILED', details: { exitCode: 1 } })
    expect(log()).toBe('on-error: cat log\non-error: no namespace\n')
    expect(kept).toHaveLength(1)
  })
})
