import { digestBytes, digestKey } from '@tsbuild/digest'
import type { ExecMount, ExecOp } from '@tsbuild/graph'
import { definitionKey } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { execOp } from './exec-op.ts'
import { recordingOptions, resultOf, snapshotId } from './testing/recording-options.ts'
import { untouchable } from './testing/untouchable.ts'
import type { OpsOptions } from './types.ts'

const op: ExecOp = {
  kind: 'exec',
  rootfs: 0,
  args: ['/bin/sh', '-c', 'make'],
  env: ['PATH=/bin', 'A=1'],
  cwd: '/src',
  user: 'app',
  network: 'default',
  hostname: 'buildkitsandbox',
  extraHosts: [{ name: 'db', ip: '10.0.0.1' }],
  platform: 'linux/amd64',
  scripts: [{ path: '/dev/pipes/EOF', content: '#!/bin/sh\n' }],
  security: 'sandbox',
  mounts: [],
  ulimits: [],
  shmSizeBytes: undefined,
  cgroupParent: undefined,
}

const mounts = {
  bind: { kind: 'bind', input: 1, source: '/src', target: '/src', readOnly: true },
  cache: {
    kind: 'cache',
    id: '/root/.cache',
    target: '/root/.cache',
    input: 1,
    source: '/seed',
    readOnly: false,
    sharing: 'shared',
    mode: 0o700,
    uid: 1,
    gid: 2,
  },
  tmpfs: { kind: 'tmpfs', target: '/tmp', sizeBytes: 4096, readOnly: false },
  secret: {
    kind: 'secret',
    id: 'token',
    target: '/run/secrets/token',
    env: 'TOKEN',
    required: false,
    mode: 0o400,
    uid: 0,
    gid: 0,
  },
  ssh: {
    kind: 'ssh',
    id: 'default',
    target: '/run/buildkit/ssh_agent.0',
    required: false,
    mode: 0o600,
    uid: 0,
    gid: 0,
  },
} as const satisfies { readonly [Kind in ExecMount['kind']]: Extract<ExecMount, { kind: Kind }> }

const base = { kind: 'result', key: digestBytes('base') } as const
const keyOf = (changed: Partial<ExecOp>) => {
  const made = { ...op, ...changed }
  const step = execOp(made, 2, untouchable())
  const inputs = made.rootfs === undefined ? [] : [base]
  const read = { kind: 'result', key: digestBytes('read'), selector: step.inputs[1]?.selector } as const
  return definitionKey(step.key, [...inputs, read])
}

describe('execOp() and its key', () => {
  it('execOp() has the pinned key exec.v4', () => {
    expect(keyOf({})).toMatchInlineSnapshot(
      `"sha256:209eb92a9f62b3fee03f18f8b88d3e13aa99af63853f5eac01e454bf2b8cc5b8"`,
    )
    expect(
      keyOf({ mounts: Object.values({ ...mounts, bind: { ...mounts.bind, input: undefined } }) }),
    ).toMatchInlineSnapshot(`"sha256:fe56b1649e6d8132b5ae8df5c75a8f88926b0bd361f17125fdb19595bc96a897"`)
    expect(execOp(op, 1, untouchable()).key).toEqual({
      kind: 'exec.v4',
      args: ['/bin/sh', '-c', 'make'],
      cgroupParent: undefined,
      cwd: '/src',
      env: ['PATH=/bin', 'A=1'],
      extraHosts: ['db'],
      hostname: 'buildkitsandbox',
      mounts: [],
      network: 'default',
      platform: 'linux/amd64',
      rootfs: 0,
      scripts: [{ path: '/dev/pipes/EOF', content: '#!/bin/sh\n' }],
      security: 'sandbox',
      shmSizeBytes: undefined,
      ulimits: [],
      user: 'app',
    })
  })

  const different: Readonly<Record<string, Partial<ExecOp>>> = {
    'no root file system': { rootfs: undefined },
    'another argument': { args: ['/bin/sh', '-c', 'make '] },
    'arguments cut elsewhere': { args: ['/bin/sh', '-c make'] },
    'one argument less': { args: ['/bin/sh', '-c'] },
    'the order of arguments': { args: ['-c', '/bin/sh', 'make'] },
    'another value': { env: ['PATH=/bin', 'A=2'] },
    'another name': { env: ['PATH=/bin', 'B=1'] },
    'the order of variables': { env: ['A=1', 'PATH=/bin'] },
    'one variable more': { env: ['PATH=/bin', 'A=1', 'B='] },
    'the directory': { cwd: '/' },
    'the user': { user: '' },
    'the network': { network: 'none' },
    'the network of the host': { network: 'host' },
    'the host name': { hostname: 'other' },
    'no extra host': { extraHosts: [] },
    'the name of an extra host': { extraHosts: [{ name: 'db2', ip: '10.0.0.1' }] },
    'another extra host': { extraHosts: [...op.extraHosts, { name: 'x', ip: '10.0.0.1' }] },
    'the platform': { platform: 'linux/arm64' },
    'no script': { scripts: [] },
    'the path of a script': { scripts: [{ path: '/dev/pipes/X', content: '#!/bin/sh\n' }] },
    'a mount': { mounts: [mounts.tmpfs] },
    'the order of mounts': { mounts: [mounts.ssh, mounts.tmpfs] },
    'the other order of mounts': { mounts: [mounts.tmpfs, mounts.ssh] },
    'no sandbox': { security: 'insecure' },
    'a limit': { ulimits: [{ name: 'nofile', soft: 1, hard: 2 }] },
    'the name of a limit': { ulimits: [{ name: 'nproc', soft: 1, hard: 2 }] },
    'another soft limit': { ulimits: [{ name: 'nofile', soft: 2, hard: 2 }] },
    'another hard limit': { ulimits: [{ name: 'nofile', soft: 1, hard: 1 }] },
    'no hard limit': { ulimits: [{ name: 'nofile', soft: 1, hard: undefined }] },
    'the size of /dev/shm': { shmSizeBytes: 64 * 1024 ** 2 },
    'the cgroup above': { cgroupParent: 'builds' },
    'the text of a script': { scripts: [{ path: '/dev/pipes/EOF', content: '#!/bin/sh -e\n' }] },
  }

  it.each(Object.entries(different))('execOp() has another key with %s', (_, changed) => {
    expect(keyOf(changed)).not.toBe(keyOf({}))
  })

  it('execOp() has one key for each of these changes, and they cover every field', () => {
    expect(new Set(Object.values(different).map(keyOf)).size).toBe(Object.keys(different).length)
    const fields = new Set(Object.values(different).flatMap((changed) => Object.keys(changed)))
    expect([...fields, 'kind'].toSorted()).toEqual(Object.keys(op).toSorted())
  })

  it('execOp() has the same key with another address of an extra host', () => {
    expect(keyOf({ extraHosts: [{ name: 'db', ip: 'fe80::1' }] })).toBe(keyOf({}))
  })

  it('execOp() has another key for the order of extra hosts', () => {
    const hosts = [
      { name: 'a', ip: '1.1.1.1' },
      { name: 'b', ip: '1.1.1.1' },
    ]
    expect(keyOf({ extraHosts: hosts })).not.toBe(keyOf({ extraHosts: hosts.toReversed() }))
  })

  /** For each kind of mount, a change of each of its fields that counts. */
  const differentMounts: {
    readonly [Kind in ExecMount['kind']]: readonly Partial<Extract<ExecMount, { kind: Kind }>>[]
  } = {
    bind: [{ input: undefined }, { source: '/' }, { target: '/dst' }, { readOnly: false }],
    cache: [
      { id: 'other' },
      { target: '/c' },
      { input: undefined },
      { source: '/' },
      { readOnly: true },
      { mode: 0o755 },
      { mode: undefined },
      { uid: 0 },
      { uid: undefined },
      { gid: 0 },
      { gid: undefined },
    ],
    tmpfs: [{ target: '/t' }, { sizeBytes: 8192 }, { sizeBytes: undefined }, { readOnly: true }],
    secret: [
      { id: 'other' },
      { target: '/s' },
      { target: undefined },
      { env: 'OTHER' },
      { env: undefined },
      { required: true },
      { mode: 0o444 },
      { uid: 1 },
      { gid: 1 },
    ],
    ssh: [{ id: 'other' }, { target: '/s' }, { required: true }, { mode: 0o666 }, { uid: 1 }, { gid: 1 }],
  }
  /** Who waits for whom says nothing of what the step makes. */
  const countless = ['kind', 'sharing']

  it.each(Object.values(mounts))('execOp() has one key for each change of a mount: $kind', (mount) => {
    const changes: readonly object[] = differentMounts[mount.kind]
    const changed = changes.map((change) => ({ ...mount, ...change }) as ExecMount)
    const keys = [mount, ...changed].map((one) => keyOf({ mounts: [one] }))
    expect(new Set(keys).size).toBe(keys.length)
    const fields = new Set(['kind', ...changes.flatMap((change) => Object.keys(change))])
    expect(Object.keys(mount).filter((field) => !fields.has(field))).toEqual(
      mount.kind === 'cache' ? countless.slice(1) : [],
    )
  })

  it('execOp() has one key for mounts of different kinds at one target', () => {
    const all = Object.values(mounts).map((mount) => keyOf({ mounts: [{ ...mount, target: '/x' }] }))
    expect(new Set(all).size).toBe(all.length)
  })

  it('execOp() has the same key with another sharing of a cache mount', () => {
    const other: ExecMount = { ...mounts.cache, sharing: 'locked' }
    expect(keyOf({ mounts: [other] })).toBe(keyOf({ mounts: [mounts.cache] }))
  })

  it('execOp() counts its root file system by the step that made it, never by content', () => {
    const step = execOp(op, 1, untouchable())
    expect([step.inputs, step.bases, step.pure]).toEqual([[{}], [0], false])
    expect(execOp({ ...op, rootfs: undefined }, 0, untouchable())).toMatchObject({ inputs: [], bases: [] })
  })

  it('execOp() counts a cache mount by the step that made what it held first, and by its source', () => {
    const [, input] = execOp({ ...op, mounts: [mounts.cache] }, 2, untouchable()).inputs
    expect(input).toEqual({ selector: { source: '/seed' } })
  })

  it('execOp() counts a bind mount by what is read of it, wherever it was: read-only and with writes thrown away', async () => {
    for (const readOnly of [true, false]) {
      const asked: unknown[] = []
      const answers = [
        { digest: digestBytes('files'), missing: [] },
        { digest: digestBytes('itself'), missing: [] },
      ]
      const { options } = recordingOptions(() => Promise.reject(new Error('not run')), {
        native: {
          scan: async (tree: unknown, selections: unknown) => {
            asked.push(tree, selections)
            return { selections: answers, manifests: new Map() }
          },
        } as unknown as OpsOptions['native'],
      })
      const step = execOp({ ...op, mounts: [{ ...mounts.bind, readOnly }] }, 2, options)
      const content = await step.inputs[1]?.content?.(resultOf(snapshotId), AbortSignal.abort())
      expect(content).toEqual({
        digest: digestKey('tsbuild.bind.v1', {
          content: digestBytes('files'),
          itself: digestBytes('itself'),
        }),
        preimage: { source: '/src', content: digestBytes('files'), itself: digestBytes('itself') },
      })
      expect(asked).toEqual([
        { kind: 'snapshot', root: { lower: [`/view/${snapshotId}`], upper: null, work: null } },
        [
          { sources: ['/src'], exclude: [], parents: false, uncounted: [] },
          { sources: ['/./src'], exclude: ['src/*'], parents: true, uncounted: [] },
        ],
      ])
    }
  })

  it('execOp() says which source of a bind mount is missing', async () => {
    const digest = digestBytes('nothing')
    const { options } = recordingOptions(() => Promise.reject(new Error('not run')), {
      native: {
        scan: async () => ({
          selections: [
            { digest, missing: [{ source: '/src' }] },
            { digest, missing: [] },
          ],
          manifests: new Map(),
        }),
      } as unknown as OpsOptions['native'],
    })
    const step = execOp({ ...op, mounts: [mounts.bind] }, 2, options)
    await expect(step.inputs[1]?.content?.(resultOf(snapshotId), AbortSignal.abort())).rejects.toMatchObject({
      code: 'ERR_MOUNT_SOURCE_INVALID',
      message: 'Cannot mount "/src": it is not in the stage, image or context that the mount is from',
    })
  })

  it.each<[string, readonly ExecMount[]]>([
    ['two mounts', [mounts.bind, mounts.cache]],
    ['a mount and the root file system', [{ ...mounts.bind, input: 0 }]],
  ])('execOp() refuses %s of one input: one of them would not count', (_, both) => {
    expect(() => execOp({ ...op, mounts: both }, 2, untouchable())).toThrow(
      expect.objectContaining({ code: 'ERR_INTERNAL' }),
    )
  })
})
