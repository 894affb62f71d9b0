import { readFileSync } from 'node:fs'
import { type Digest, digestBytes, type KeyValue } from '@tsbuild/digest'
import type {
  ExecMount,
  ExecOp,
  ExtraHost,
  FileAction,
  FileOp,
  ImageOp,
  ScriptFile,
  Ulimit,
} from '@tsbuild/graph'
import { definitionKey, type InputKeying, type RecordedInput, type StepOp } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { execOp } from './exec-op.ts'
import { fileOp } from './file-op.ts'
import { imageOp } from './source-ops.ts'
import { untouchable } from './testing/untouchable.ts'
import type { OpResult, OpsOptions } from './types.ts'

/*
 * Which fields count is written in docs/dev/cache-keys.md. Here each field of each op is given other values, and the keys are
 * compared. The tables of changes have a row for every field of the types, or do not compile.
 */

/** Other values for each field of an object but its kind. */
type Changes<T> = { readonly [Field in Exclude<keyof T, 'kind'>]-?: readonly T[Field][] }

type Counts = 'yes' | 'no' | 'selector'

const page = readFileSync(new URL('../../../docs/dev/cache-keys.md', import.meta.url), 'utf8')

/** What the page says of the fields below a heading. */
function written(heading: string): Readonly<Record<string, Counts>> {
  const [, section = ''] = page.split(new RegExp(`^#+ ${heading}$`, 'm'))
  const [own = ''] = section.split(/^#/m)
  const rows = [...own.matchAll(/^\| `(\w+)` \| (yes|no|selector) \|/gm)]
  if (rows.length === 0) throw new Error(`the page has no fields for ${heading}`)
  return Object.fromEntries(rows.map(([, field = '', counts]) => [field, counts as Counts]))
}

const op: ExecOp = {
  kind: 'exec',
  rootfs: 0,
  args: ['/bin/sh', '-c', 'make'],
  shell: ['/bin/sh', '-c'],
  env: ['PATH=/bin', 'A=1'],
  envOrder: [1, 0],
  argNames: ['A'],
  cwd: '/src',
  user: 'app',
  network: 'default',
  security: 'sandbox',
  hostname: 'buildkitsandbox',
  extraHosts: [{ name: 'db', ip: '10.0.0.1' }],
  platform: 'linux/amd64',
  scripts: [{ path: '/dev/pipes/EOF', content: '#!/bin/sh\n' }],
  mounts: [],
  ulimits: [{ name: 'nofile', soft: 1, hard: 2 }],
  shmSizeBytes: 1024,
  cgroupParent: 'builds',
  maxAgeMs: 1000,
}

type MountOf<Kind extends ExecMount['kind']> = Extract<ExecMount, { readonly kind: Kind }>
type ActionOf<Kind extends FileAction['kind']> = Extract<FileAction, { readonly kind: Kind }>

const mounts: { readonly [Kind in ExecMount['kind']]: MountOf<Kind> } = {
  bind: { kind: 'bind', input: 1, source: '/src', target: '/src', readOnly: true },
  cache: {
    kind: 'cache',
    id: 'a',
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
    countsContent: true,
    mode: 0o400,
    uid: 0,
    gid: 0,
  },
  ssh: { kind: 'ssh', id: 'default', target: '/agent', required: false, mode: 0o600, uid: 0, gid: 0 },
}

const mountChanges: { readonly [Kind in ExecMount['kind']]: Changes<MountOf<Kind>> } = {
  bind: { input: [undefined], source: ['/', '/src/a'], target: ['/dst'], readOnly: [false] },
  cache: {
    id: ['b', '/root/.cache'],
    target: ['/c'],
    input: [undefined],
    source: ['/'],
    readOnly: [true],
    sharing: ['locked', 'private'],
    mode: [0o755, undefined],
    uid: [0, undefined],
    gid: [0, undefined],
  },
  tmpfs: { target: ['/t'], sizeBytes: [8192, undefined], readOnly: [true] },
  secret: {
    id: ['other'],
    target: ['/s', undefined],
    env: ['OTHER', undefined],
    required: [true],
    countsContent: [undefined],
    mode: [0o444],
    uid: [1],
    gid: [1],
  },
  ssh: { id: ['other'], target: ['/s'], required: [true], mode: [0o666], uid: [1], gid: [1] },
}

const execChanges: Changes<ExecOp> = {
  rootfs: [undefined],
  args: [[], ['/bin/sh', '-c make'], ['-c', '/bin/sh', 'make'], ['/bin/sh', '-c', 'make ']],
  shell: [undefined, ['/bin/bash', '-c']],
  env: [[], ['A=1', 'PATH=/bin'], ['PATH=/bin', 'A=2'], ['PATH=/bin', 'A=1', 'B=']],
  envOrder: [undefined, [0, 1]],
  argNames: [undefined, []],
  cwd: ['/'],
  user: ['', 'root'],
  network: ['none', 'host'],
  security: ['insecure'],
  hostname: ['other'],
  extraHosts: [[], [...op.extraHosts, ...op.extraHosts]],
  platform: ['linux/arm64'],
  scripts: [[], [...op.scripts, ...op.scripts]],
  mounts: [[mounts.ssh], [mounts.tmpfs, mounts.ssh], [mounts.ssh, mounts.tmpfs]],
  ulimits: [[], [...op.ulimits, ...op.ulimits]],
  shmSizeBytes: [undefined, 2048],
  cgroupParent: [undefined, 'other'],
  maxAgeMs: [undefined, 0, 2000],
}

const hostChanges: Changes<ExtraHost> = { name: ['db2'], ip: ['fe80::1'] }
const scriptChanges: Changes<ScriptFile> = { path: ['/dev/pipes/X'], content: ['#!/bin/sh -e\n'] }
const ulimitChanges: Changes<Ulimit> = { name: ['nproc'], soft: [2, undefined], hard: [1, undefined] }

const actions: { readonly [Kind in FileAction['kind']]: ActionOf<Kind> } = {
  copy: {
    kind: 'copy',
    input: 1,
    sources: ['a', 'b'],
    dest: '/d/',
    exclude: ['*.o'],
    parents: false,
    chown: undefined,
    chmod: undefined,
    unpack: false,
  },
  mkfile: {
    kind: 'mkfile',
    name: 'f',
    dest: '/',
    content: 'x\n',
    owner: undefined,
    chmod: undefined,
    mtime: undefined,
  },
  mkdir: { kind: 'mkdir', path: '/d', mode: 0o755, owner: undefined, mtime: undefined },
}

const actionChanges: { readonly [Kind in FileAction['kind']]: Changes<ActionOf<Kind>> } = {
  copy: {
    input: [2],
    sources: [['a'], ['b', 'a'], ['c', 'b']],
    dest: ['/d', '/e/'],
    exclude: [[], ['*.o', 'x']],
    parents: [true],
    chown: ['0:0', 'u'],
    chmod: ['0644', '644'],
    unpack: [true],
  },
  mkfile: {
    name: ['g'],
    dest: ['/d/'],
    content: ['', 'x'],
    owner: ['u', '0:0'],
    chmod: ['0644'],
    mtime: [0, 1],
  },
  mkdir: { path: ['/e'], mode: [0o700], owner: ['u', '0:0'], mtime: [0, 1] },
}

const file: FileOp = { kind: 'file', rootfs: 0, owners: 2, actions: [actions.mkdir] }
const fileChanges: Changes<FileOp> = {
  rootfs: [undefined, 1],
  owners: [undefined, 1],
  actions: [[], [actions.mkfile], [actions.mkdir, actions.mkfile], [actions.mkfile, actions.mkdir]],
}

const image: ImageOp = { kind: 'image', reference: 'a:1', manifest: digestBytes('a'), layers: [] }
const layer = { mediaType: 'x', digest: digestBytes('l'), size: 1, diffId: digestBytes('l') as never }
const imageChanges: Changes<ImageOp> = {
  reference: ['a:2'],
  manifest: [digestBytes('b')],
  layers: [[layer]],
}

/** As many inputs as any op of the tests refers to. */
const inputCount = 3

const result = (index: number, selector: KeyValue | undefined): RecordedInput => ({
  kind: 'result',
  key: digestBytes(`input ${index}`),
  selector,
})

/** The key under which a step is looked up first. */
function keyedBy(step: StepOp<OpResult>): Digest {
  return definitionKey(
    step.key,
    step.inputs.map(({ selector }, index) => result(index, selector)),
  )
}

/** The key under which it is looked up when what it reads is known. */
function contentOf(step: StepOp<OpResult>): Digest {
  const input = ({ content, selector }: InputKeying<OpResult>, index: number): RecordedInput =>
    content === undefined
      ? result(index, selector)
      : { kind: 'content', digest: digestBytes(`content ${index}`), preimage: null }
  return definitionKey(step.key, step.inputs.map(input))
}

/** What steps are made of may be named, and not used. */
function optionsWith(token: string): OpsOptions {
  const secretDigests = new Map([
    ['token', token],
    ['other', token],
  ])
  return new Proxy(untouchable(), {
    get: (target, name) => {
      if (name === 'native' || name === 'snapshotter') return target
      return name === 'secretDigests' ? secretDigests : Reflect.get(target, name)
    },
  })
}

const exec = (changed: Partial<ExecOp>, token = 'hmac-sha256:1') =>
  execOp({ ...op, ...changed }, inputCount, optionsWith(token))
const files = (changed: Partial<FileOp>) => fileOp({ ...file, ...changed }, inputCount, optionsWith(''))
const sourceKey = (changed: Partial<ImageOp>) =>
  definitionKey({ kind: 'test' }, [{ kind: 'source', key: imageOp({ ...image, ...changed }).key ?? null }])

interface Case {
  readonly heading: string
  readonly changes: Readonly<Record<string, readonly unknown[]>>
  /** The definition key and the content key, with some fields changed. */
  readonly keys: (changed: Readonly<Record<string, unknown>>) => readonly [Digest, Digest]
}

const keysOf = (step: StepOp<OpResult>) => [keyedBy(step), contentOf(step)] as const

const cases: readonly Case[] = [
  { heading: 'exec\\.v\\d+', changes: execChanges, keys: (changed) => keysOf(exec(changed)) },
  {
    heading: 'extra host',
    changes: hostChanges,
    keys: (changed) => keysOf(exec({ extraHosts: [{ name: 'db', ip: '10.0.0.1', ...changed }] })),
  },
  {
    heading: 'script',
    changes: scriptChanges,
    keys: (changed) => keysOf(exec({ scripts: [{ path: '/p', content: 'c', ...changed }] })),
  },
  {
    heading: 'ulimit',
    changes: ulimitChanges,
    keys: (changed) => keysOf(exec({ ulimits: [{ name: 'nofile', soft: 1, hard: 2, ...changed }] })),
  },
  ...Object.values(mounts).map((mount) => ({
    heading: `${mount.kind} mount`,
    changes: mountChanges[mount.kind],
    keys: (changed: object) => keysOf(exec({ mounts: [{ ...mount, ...changed } as ExecMount] })),
  })),
  { heading: 'file\\.v\\d+', changes: fileChanges, keys: (changed) => keysOf(files(changed)) },
  ...Object.values(actions).map((action) => ({
    heading: action.kind,
    changes: actionChanges[action.kind],
    keys: (changed: object) =>
      keysOf(files({ owners: undefined, actions: [{ ...action, ...changed } as FileAction] })),
  })),
  {
    heading: 'image',
    changes: imageChanges,
    keys: (changed) => [sourceKey(changed), sourceKey(changed)] as const,
  },
]

describe('the fields of ops', () => {
  it.each(cases)(
    'each field of $heading counts as docs/dev/cache-keys.md says',
    ({ heading, changes, keys }) => {
      const rules = written(heading)
      expect(Object.keys(rules).toSorted()).toEqual(Object.keys(changes).toSorted())
      const [definition, content] = keys({})
      const seen = [definition]
      for (const [field, values] of Object.entries(changes)) {
        for (const value of values) {
          const [changed, byContent] = keys({ [field]: value })
          const what = `${field} = ${JSON.stringify(value)}`
          if (rules[field] === 'no') expect(changed, what).toBe(definition)
          // Two changes never make one key either.
          else expect(seen, what).not.toContain(changed)
          if (rules[field] === 'yes') expect(byContent, what).not.toBe(content)
          else expect(byContent, what).toBe(content)
          if (rules[field] !== 'no') seen.push(changed)
        }
      }
    },
  )

  it('the value of a secret counts where it is asked for, and nowhere else', () => {
    const { countsContent: _, ...quiet } = mounts.secret
    const keys = (mount: ExecMount) => ['1', '2'].map((token) => keyedBy(exec({ mounts: [mount] }, token)))
    expect(new Set(keys(mounts.secret)).size).toBe(2)
    expect(new Set(keys(quiet)).size).toBe(1)
    // Not given is a value too.
    expect(keys(mounts.secret)).not.toContain(keys({ ...mounts.secret, id: 'missing' })[0])
  })
})
