import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import type { ExecMount, ExecOp } from '@tsbuild/graph'
import type { CacheMountRequest, LockOptions } from '@tsbuild/store'
import { describe, expect, it, onTestFinished } from 'vitest'
import { onceFresh } from './exec-cache-mounts.ts'
import { execOp } from './exec-op.ts'
import { type Behaviour, recordingOptions, resultOf, testId, vertexOf } from './testing/recording-options.ts'
import type { OpsOptions } from './types.ts'

const op: ExecOp = {
  kind: 'exec',
  rootfs: 0,
  args: ['true'],
  env: ['PATH=/bin', 'TOKEN=of the image'],
  cwd: '/',
  user: '',
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
const [base, one, two] = [testId('a'.repeat(32)), testId('1'.repeat(32)), testId('2'.repeat(32))]
const secret = {
  kind: 'secret',
  id: 'token',
  target: '/t',
  env: 'TOKEN',
  required: false,
  mode: 0o400,
  uid: 0,
  gid: 0,
} as const
const ssh = {
  kind: 'ssh',
  id: 'default',
  target: '/agent',
  required: false,
  mode: 0o600,
  uid: 1,
  gid: 2,
} as const
const bind = { kind: 'bind', input: 1, source: '/src', target: '/src', readOnly: true } as const
const cache = {
  kind: 'cache',
  id: '/cache',
  target: '/cache',
  input: undefined,
  source: '/',
  readOnly: false,
  sharing: 'shared',
  mode: undefined,
  uid: undefined,
  gid: undefined,
} as const

interface Given {
  readonly behave?: Behaviour
  readonly noCache?: boolean
  readonly env?: readonly string[]
}

/** What a step of these mounts did: the process, and in order what was opened, run and let go. */
async function run(mounts: readonly ExecMount[], given: Partial<OpsOptions> & Given = {}) {
  const { behave = async () => ({}), noCache, env = op.env, ...more } = given
  const calls: string[] = []
  const requests: CacheMountRequest[] = []
  const events: BuildEvent[] = []
  const scratches: string[] = []
  const recording = recordingOptions(behave, {
    scope: 'pr/7',
    secrets: async (id) => (id === 'token' ? Buffer.from('s3cr3t-value\n') : undefined),
    ssh: async (id) =>
      id === 'default'
        ? { socket: `/sockets/${id}`, close: async () => void calls.push(`close ${id}`) }
        : undefined,
    cacheMounts: {
      open: async (request: CacheMountRequest, { onWait }: LockOptions = {}) => {
        if (request.id === 'busy') onWait?.()
        requests.push(request)
        calls.push(`open ${request.id}`)
        return {
          path: `/mounts/${request.id}`,
          release: async () => void calls.push(`release ${request.id}`),
        }
      },
    },
    scratch: async () => {
      const path = mkdtempSync(join(tmpdir(), 'tsbuild-exec-mounts-'))
      scratches.push(path)
      onTestFinished(() => rmSync(path, { recursive: true, force: true }))
      return path
    },
    native: {
      remove: async (paths: readonly string[]) => {
        calls.push('remove')
        for (const path of paths) rmSync(path, { recursive: true, force: true })
      },
    } as unknown as OpsOptions['native'],
    ...more,
  })
  const made = { ...op, env, mounts }
  const vertex = vertexOf(made, digestBytes('vertex'), noCache)
  const executed = execOp(made, 3, recording.options).execute([base, one, two].map(resultOf), {
    vertex,
    signal: new AbortController().signal,
    events: (event) => void events.push(event),
  })
  const error: unknown = await executed.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  const [process] = recording.processes
  const kinds = recording.calls.filter((call) => call !== 'prepare')
  return { error, process, calls, kinds, requests, events, scratches }
}

describe('execOp() with bind and tmpfs mounts', () => {
  it('execute() mounts a view of the input, and an empty directory for none', async () => {
    const { process } = await run([bind, { ...bind, input: undefined, source: '/', target: '/empty' }])
    expect(process?.mounts).toEqual([
      {
        kind: 'snapshot',
        root: { lower: [`/view/${one}`], upper: null, work: null },
        inside: 'src',
        target: '/src',
      },
      { kind: 'snapshot', root: { lower: [], upper: null, work: null }, inside: '', target: '/empty' },
    ])
  })

  it('execute() throws away what is written to a bind mount with rw', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'tsbuild-exec-mounts-'))
    const modes: number[] = []
    const behave = async () => {
      modes.push(statSync(join(scratch, 'upper')).mode & 0o777)
      return {}
    }
    const writable = { ...bind, readOnly: false }
    const { process, calls } = await run([writable], { behave, scratch: async () => scratch })
    expect(process?.mounts).toEqual([
      {
        kind: 'snapshot',
        root: { lower: [`/view/${one}`], upper: join(scratch, 'upper'), work: join(scratch, 'work') },
        inside: 'src',
        target: '/src',
      },
    ])
    expect([modes, calls, existsSync(scratch)]).toEqual([[0o755], ['remove'], false])
  })

  it('execute() mounts tmpfs with its size', async () => {
    const tmpfs = { kind: 'tmpfs', target: '/tmp', sizeBytes: 4096, readOnly: true } as const
    const { process } = await run([tmpfs, { ...tmpfs, target: '/t', sizeBytes: undefined, readOnly: false }])
    expect(process?.mounts).toEqual([
      { kind: 'tmpfs', target: '/tmp', sizeBytes: 4096, readonly: true },
      { kind: 'tmpfs', target: '/t', sizeBytes: null, readonly: false },
    ])
  })

  it('execute() keeps the order of mounts, parents first', async () => {
    const { process } = await run([
      { ...cache, target: '/a' },
      { ...bind, target: '/a/b' },
      { ...secret, target: '/a/b/c', env: undefined },
    ])
    expect(process?.mounts).toEqual(
      ['/a', '/a/b', '/a/b/c'].map((target) => expect.objectContaining({ target })),
    )
  })
})

describe('execOp() with secrets', () => {
  it('execute() gives a secret as a file and in place of a variable of the same name', async () => {
    const { process } = await run([secret])
    expect(process?.env).toEqual(['PATH=/bin', 'TOKEN=s3cr3t-value\n'])
    expect(process?.mounts).toEqual([expect.objectContaining({ kind: 'secret', target: '/t', mode: 0o400 })])
  })

  it('execute() leaves the variable alone where the secret is not given', async () => {
    const { process } = await run([{ ...secret, id: 'absent' }])
    expect([process?.env, process?.mounts]).toEqual([op.env, []])
  })

  it('execute() runs nothing without a required secret', async () => {
    const { error, kinds } = await run([{ ...secret, id: 'absent', required: true }, cache])
    expect(error).toMatchObject({ code: 'ERR_SECRET' })
    expect(kinds).toEqual([])
  })

  it('execute() masks a secret in both streams and in the error, split as it may be', async () => {
    const value = 's3cr3t-value'
    for (let at = 0; at <= value.length; at += 1) {
      const behave: Behaviour = async ({ onStdout, onStderr }) => {
        onStdout(Buffer.from(`out ${value.slice(0, at)}`))
        onStderr(Buffer.from(`err ${value.slice(0, at)}`))
        onStdout(Buffer.from(`${value.slice(at)} end\n`))
        onStderr(Buffer.from(value.slice(at)))
        return { exitCode: 1 }
      }
      const { error, events } = await run([{ ...secret, env: undefined }], { behave })
      const logged = (stream: string) =>
        events.flatMap((event) =>
          event.type === 'vertex.log' && event.stream === stream ? [event.data] : [],
        )
      expect(Buffer.concat(logged('stdout')).toString()).toBe('out *** end\n')
      expect(Buffer.concat(logged('stderr')).toString()).toBe('err ***')
      expect(JSON.stringify([error, (error as { details: unknown }).details])).not.toContain('s3cr3t')
    }
  })

  it('execute() shows the rest of the output before the end of the step', async () => {
    const behave: Behaviour = async ({ onStdout }) => {
      onStdout(Buffer.from('s3cr'))
      return {}
    }
    const { events } = await run([secret], { behave })
    expect(events.map((event) => [event.type, 'data' in event ? String(event.data) : ''])).toEqual([
      ['vertex.log', 's3cr'],
      ['vertex.usage', ''],
    ])
  })
})

describe('execOp() with ssh agents', () => {
  it('execute() mounts the socket, says where the first one is, and closes it', async () => {
    const { process, calls } = await run([ssh, { ...ssh, target: '/second' }])
    expect(process?.mounts).toEqual([
      { kind: 'socket', source: '/sockets/default', target: '/agent', mode: 0o600, uid: 1, gid: 2 },
      { kind: 'socket', source: '/sockets/default', target: '/second', mode: 0o600, uid: 1, gid: 2 },
    ])
    expect(process?.env).toEqual([...op.env, 'SSH_AUTH_SOCK=/agent'])
    expect(calls).toEqual(['close default', 'close default'])
  })

  it('execute() skips an agent that is not given, and keeps a variable of the step', async () => {
    const absent = await run([{ ...ssh, id: 'absent' }])
    expect([absent.process?.mounts, absent.process?.env, absent.error]).toEqual([[], op.env, undefined])
    const { process } = await run([
      { ...ssh, id: 'absent' },
      { ...ssh, target: '/second' },
    ])
    expect(process?.env).toContain('SSH_AUTH_SOCK=/second')
    const own = await run([ssh], { env: ['SSH_AUTH_SOCK=/mine'] })
    expect(own.process?.env).toEqual(['SSH_AUTH_SOCK=/mine'])
  })

  it('execute() rejects where a required agent is not given', async () => {
    const { error, kinds } = await run([{ ...ssh, id: 'absent', required: true }])
    expect(error).toMatchObject({
      code: 'ERR_SSH',
      message: 'Cannot run a step without its ssh agent: ssh absent: not found',
      hints: [expect.stringContaining('`--ssh absent`')],
    })
    expect(kinds).toEqual(['release'])
  })
})

describe('execOp() with cache mounts', () => {
  it('execute() mounts a path of the directory of its scope and id, and lets go of it', async () => {
    const { process, requests, calls } = await run([{ ...cache, source: '/sub/dir', readOnly: true }])
    expect(requests).toEqual([
      expect.objectContaining({ scope: 'pr/7', id: '/cache', base: {}, sharing: 'shared', fresh: false }),
    ])
    expect(process?.mounts).toEqual([
      { kind: 'bind', source: '/mounts//cache', inside: 'sub/dir', target: '/cache', readonly: true },
    ])
    expect(calls).toEqual(['open /cache', 'release /cache'])
  })

  it('execute() has another directory for another base, mode or owner, and none for a path in it', async () => {
    const different = [
      {},
      { mode: 0o755 },
      { uid: 0 },
      { gid: 0 },
      { input: 1 },
      { input: 2 },
      { input: 1, source: '/a' },
      { input: 1, mode: 0o755 },
    ]
    const bases = new Set<string>()
    for (const change of different) {
      const { requests } = await run([{ ...cache, ...change }])
      bases.add(JSON.stringify(requests[0]?.base))
    }
    expect(bases.size).toBe(different.length)
    const sub = await run([{ ...cache, source: '/sub', mode: 0o700, uid: 5 }])
    expect(sub.requests[0]?.base).toEqual({})
  })

  it('execute() shows what came from an input, whatever its place there', async () => {
    const { process } = await run([{ ...cache, input: 1, source: '/deep/place' }])
    expect(process?.mounts).toEqual([expect.objectContaining({ kind: 'bind', inside: '' })])
  })

  it('execute() opens a directory once for all mounts of it, as strictly as one of them says', async () => {
    const { requests, process } = await run([
      { ...cache, target: '/a' },
      { ...cache, target: '/b', sharing: 'locked', source: '/sub' },
      { ...cache, target: '/c', sharing: 'private' },
    ])
    expect(requests.map(({ sharing }) => sharing)).toEqual(['locked'])
    expect(process?.mounts).toHaveLength(3)
  })

  it('execute() opens directories in the same order for every step', async () => {
    const ids = ['z', 'a', 'm']
    const first = await run(ids.map((id) => ({ ...cache, id, target: `/${id}` })))
    const second = await run(ids.toReversed().map((id) => ({ ...cache, id, target: `/${id}` })))
    const opened = ['open a', 'open m', 'open z']
    expect(first.calls.filter((call) => call.startsWith('open'))).toEqual(opened)
    expect(second.calls.filter((call) => call.startsWith('open'))).toEqual(opened)
  })

  it('execute() says that it waits', async () => {
    const { events } = await run([{ ...cache, id: 'busy' }])
    expect(events[0]).toEqual({
      type: 'vertex.waiting',
      vertex: digestBytes('vertex'),
      reason: 'another step uses the cache mount "busy"',
      at: 42,
    })
  })

  it.each([
    [{}, false],
    [{ source: '/sub', mode: 0o700 }, false],
    [{ mode: 0o700 }, true],
    [{ uid: 0 }, true],
    [{ gid: 0 }, true],
    [{ input: 1 }, true],
  ])('execute() with --no-cache begins anew only what was made of something: %j', async (change, fresh) => {
    const { requests } = await run([{ ...cache, ...change }], { noCache: true })
    expect(requests[0]?.fresh).toBe(fresh)
    expect((await run([{ ...cache, ...change }])).requests[0]?.fresh).toBe(false)
  })

  it('onceFresh() begins anew once in a build, and the steps that come at the same time wait for that', async () => {
    const opened: unknown[] = []
    let proceed = () => {}
    const begun = new Promise<void>((resolve) => (proceed = resolve))
    const store = onceFresh({
      open: async (request) => {
        opened.push([request.id, request.fresh])
        if (request.fresh === true) await begun
        return { path: '', release: async () => {} }
      },
    })
    const request = { scope: 'main', base: 1, sharing: 'shared', make: async () => {} } as const
    const both = ['a', 'a', 'b'].map((id) => store.open({ ...request, id, fresh: true }))
    await new Promise(setImmediate)
    expect(opened).toEqual([
      ['a', true],
      ['b', true],
    ])
    proceed()
    await Promise.all(both)
    await store.open({ ...request, id: 'a', fresh: true })
    await store.open({ ...request, id: 'c' })
    expect(opened.slice(2)).toEqual([
      ['a', false],
      ['a', false],
      ['c', undefined],
    ])
  })
})

describe('execOp() lets go of its mounts', () => {
  const all: readonly ExecMount[] = [{ ...bind, readOnly: false }, ssh, cache]
  const released = ['close default', 'open /cache', 'release /cache', 'remove']

  it.each<[string, Behaviour]>([
    ['succeeded', async () => ({})],
    ['failed', async () => ({ exitCode: 1 })],
    ['could not be run', () => Promise.reject(new Error('no helper'))],
  ])('execute() lets go of everything when the process %s', async (_, behave) => {
    const { calls, scratches } = await run(all, { behave })
    expect(calls.toSorted()).toEqual(released)
    expect(scratches.map((path) => existsSync(path))).toEqual([false])
  })

  it('execute() lets go while the process runs no more, and not before', async () => {
    const seen: string[] = []
    await run(all, {
      behave: async () => {
        seen.push('ran')
        return {}
      },
      ssh: async () => ({ socket: '/s', close: async () => void seen.push('closed') }),
    })
    expect(seen).toEqual(['ran', 'closed'])
  })

  it('execute() lets go of what was open when a later mount cannot be had', async () => {
    const failure = new Error('no room')
    const { error, calls, kinds } = await run(all, {
      cacheMounts: { open: () => Promise.reject(failure) },
    })
    expect(error).toBe(failure)
    expect([calls.toSorted(), kinds]).toEqual([['close default', 'remove'], ['release']])
  })

  it('execute() lets go of the rest when one of them cannot be closed, and fails', async () => {
    const failure = new Error('stuck')
    const { error, calls } = await run(all, {
      ssh: async () => ({ socket: '/s', close: () => Promise.reject(failure) }),
    })
    expect(error).toBe(failure)
    expect(calls.toSorted()).toEqual(['open /cache', 'release /cache', 'remove'])
  })

  it('execute() lets go of everything when the executor throws at once', async () => {
    const failure = new Error('not allowed')
    const executor = {
      run: () => {
        throw failure
      },
    } as unknown as OpsOptions['executor']
    const { error, calls } = await run(all, { executor })
    expect([error, calls.toSorted()]).toEqual([failure, released])
  })
})
