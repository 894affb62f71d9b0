import { digestBytes, type KeyValue } from '@tsbuild/digest'
import type { RecordedInput } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { compare } from './compare.ts'
import type { Side } from './types.ts'

const [a, b] = [digestBytes('a'), digestBytes('b')]
const exec: Readonly<Record<string, KeyValue>> = {
  kind: 'exec.v3',
  args: ['/bin/sh', '-c', 'make'],
  cgroupParent: undefined,
  cwd: '/src',
  env: ['PATH=/bin', 'VERSION=1'],
  extraHosts: ['db'],
  hostname: 'tsbuild',
  mounts: [
    { kind: 'cache', target: '/cache', readOnly: false, id: 'npm' },
    { kind: 'secret', id: 'token', target: '/run/secrets/token', env: undefined, required: true },
  ],
  network: 'default',
  platform: 'linux/amd64',
  scripts: [{ path: '/dev/pipes/EOF', content: '#!/bin/sh\necho a' }],
  security: 'sandbox',
  shmSizeBytes: undefined,
  ulimits: [{ name: 'nofile', soft: 1, hard: undefined }],
  user: 'root',
}
const copy = {
  kind: 'copy',
  input: 1,
  dest: '/a',
  chown: undefined,
  chmod: undefined,
  exclude: [],
  parents: false,
  unpack: false,
}
const sideOf = (op: KeyValue, more: Partial<Side> = {}): Side => ({
  name: '[1/2] RUN make',
  op,
  inputs: [],
  about: { args: ['VERSION'] },
  ...more,
})
const execWith = (changes: Readonly<Record<string, KeyValue>>) => sideOf({ ...exec, ...changes })
const fileWith = (...actions: readonly KeyValue[]) => sideOf({ kind: 'file.v2', rootfs: 0, actions })
const [cache, secret] = exec.mounts as readonly Readonly<Record<string, KeyValue>>[]

/** For each field of an exec op another value, and what is said of it. */
const changes: readonly (readonly [string, Readonly<Record<string, KeyValue>>, unknown])[] = [
  [
    'args',
    { args: ['/bin/sh', '-c', 'make all'] },
    { kind: 'command', part: 'command', line: null, before: 'make', after: 'make all' },
  ],
  [
    'args',
    { args: ['/bin/bash', '-c', 'make'] },
    { kind: 'command', part: 'shell', line: null, before: '/bin/sh -c', after: '/bin/bash -c' },
  ],
  [
    'args',
    { args: ['/bin/sh', '-c', 'make\nmake install'] },
    { kind: 'command', part: 'heredoc', line: 2, before: '', after: 'make install' },
  ],
  ['cgroupParent', { cgroupParent: 'ci' }, { name: '--cgroup-parent', before: null, after: 'ci' }],
  ['cwd', { cwd: '/' }, { name: 'WORKDIR', before: '/src', after: '/' }],
  ['env', { env: ['PATH=/bin', 'VERSION=2'] }, { kind: 'arg', name: 'VERSION', before: '1', after: '2' }],
  ['env', { env: ['PATH=/bin'] }, { kind: 'arg', name: 'VERSION', before: '1', after: null }],
  ['env', { env: ['PATH=/x', 'VERSION=1'] }, { kind: 'env', name: 'PATH', before: '/bin', after: '/x' }],
  ['env', { env: ['VERSION=1', 'PATH=/bin'] }, { name: 'order of variables' }],
  ['extraHosts', { extraHosts: ['db', 'mq'] }, { name: '--add-host', before: 'db', after: 'db mq' }],
  ['hostname', { hostname: 'ci' }, { name: 'hostname', before: 'tsbuild', after: 'ci' }],
  [
    'mounts',
    { mounts: [{ ...cache, readOnly: true }, secret] },
    { kind: 'mount', type: 'cache', target: '/cache', option: 'readOnly', before: 'false', after: 'true' },
  ],
  [
    'mounts',
    { mounts: [{ ...cache, id: 'other' }, secret] },
    { kind: 'mount', option: 'id', before: 'npm', after: 'other' },
  ],
  ['mounts', { mounts: [cache] }, { kind: 'mount', type: 'secret', option: null, after: null }],
  ['mounts', { mounts: [secret, cache] }, { name: 'order of mounts' }],
  ['mounts', { mounts: [cache, { ...secret, content: a }] }, { kind: 'secret', id: 'token' }],
  ['network', { network: 'none' }, { name: 'network', before: 'default', after: 'none' }],
  ['platform', { platform: 'linux/arm64' }, { name: 'platform' }],
  [
    'scripts',
    { scripts: [{ path: '/dev/pipes/EOF', content: '#!/bin/sh\necho b' }] },
    { kind: 'command', part: 'heredoc', line: 2, before: 'echo a', after: 'echo b' },
  ],
  ['security', { security: 'insecure' }, { name: 'security' }],
  ['shmSizeBytes', { shmSizeBytes: 5 }, { name: '--shm-size', before: null, after: '5' }],
  [
    'ulimits',
    { ulimits: [{ name: 'nofile', soft: 1, hard: 2 }] },
    { name: '--ulimit nofile', before: '1:unlimited', after: '1:2' },
  ],
  ['user', { user: 'web' }, { name: 'USER', before: 'root', after: 'web' }],
  ['kind', { kind: 'exec.v9' }, { kind: 'version', before: '3', after: '9' }],
  ['later', { later: 'x' }, { kind: 'setting', name: 'later', before: null, after: 'x' }],
]

describe('compare() of two RUNs', () => {
  it('finds nothing where nothing differs', () => {
    expect(compare(sideOf(exec), sideOf({ ...exec }))).toEqual([])
  })

  it.each(changes)('says what differs in %s: %j', (_, change, expected) => {
    expect(compare(execWith(change), sideOf(exec))).toEqual([expect.objectContaining(expected)])
  })

  it('says something of every field that counts', () => {
    const fields = new Set(changes.map(([field]) => field))
    expect(Object.keys(exec).filter((field) => !fields.has(field))).toEqual([])
  })

  it('never has the value of a secret, by its name or its form', () => {
    const token = `ghp_${'x'.repeat(36)}`
    const now = execWith({ env: ['NPM_TOKEN=canary-a', `PLAIN=${token}`] })
    const text = JSON.stringify(compare(now, execWith({ env: ['NPM_TOKEN=canary-b', 'PLAIN=1'] })))
    expect(text).toContain('NPM_TOKEN')
    expect(text).not.toMatch(/canary|ghp_/)
    const url = execWith({ args: ['git', 'clone', 'https://me:canary@host/x'] })
    expect(JSON.stringify(compare(url, sideOf(exec)))).not.toContain('canary')
  })
})

describe('compare() of two COPYs', () => {
  it.each<[KeyValue, unknown]>([
    [
      { ...copy, dest: '/b' },
      { name: 'destination', before: '/a', after: '/b' },
    ],
    [
      { ...copy, chown: 'web' },
      { name: '--chown', before: null, after: 'web' },
    ],
    [
      { ...copy, chmod: '755' },
      { name: '--chmod', before: null, after: '755' },
    ],
    [
      { ...copy, exclude: ['*.md'] },
      { name: '--exclude', before: '', after: '*.md' },
    ],
    [
      { ...copy, parents: true },
      { name: '--parents', before: 'false', after: 'true' },
    ],
    [
      { ...copy, unpack: true },
      { name: '--unpack', before: 'false', after: 'true' },
    ],
    [{ kind: 'mkdir', path: '/x' }, { kind: 'instruction' }],
  ])('says what differs: %j', (action, expected) => {
    expect(compare(fileWith(action), fileWith(copy))).toEqual([expect.objectContaining(expected)])
  })

  it('names another instruction, and a line of a file in the Dockerfile', () => {
    const now = { ...fileWith(copy), name: '[2/3] COPY a /a' }
    expect(compare(now, sideOf(exec))).toEqual([
      { kind: 'instruction', before: 'RUN make', after: 'COPY a /a' },
    ])
    const motd = (content: string) => fileWith({ kind: 'mkfile', name: 'EOF', dest: '/motd', content })
    expect(compare(motd('a\nc\n'), motd('a\nb\n'))).toEqual([
      { kind: 'command', part: 'heredoc', line: 2, before: 'b', after: 'c' },
    ])
  })
})

describe('compare() of inputs', () => {
  const image = (manifest: string): RecordedInput => ({ kind: 'source', key: { kind: 'image', manifest } })
  const name = (reference: string, digest: string) => `[1/2] FROM ${reference}@${digest}`
  const upon = (input: RecordedInput, inputName: string) =>
    sideOf(exec, { inputs: [input], inputNames: [inputName] })

  it('knows an image that moved from another image', () => {
    const reference = 'docker.io/library/debian:12'
    const [now, earlier] = [upon(image(b), name(reference, b)), upon(image(a), name(reference, a))]
    expect(compare(now, earlier)).toEqual([
      {
        kind: 'image',
        role: 'base',
        before: { reference, manifest: a },
        after: { reference, manifest: b },
      },
    ])
    expect(compare(now, { ...earlier, inputs: [image(b)] })).toEqual([])
    const [difference] = compare(now, sideOf(exec))
    expect(difference).toMatchObject({ kind: 'image', before: null })
  })

  it('names the step that made something else, and a stage in the place of an image', () => {
    const step = (key: typeof a) => upon({ kind: 'result', key }, '[build 1/1] RUN a')
    expect(compare(step(a), step(a))).toEqual([])
    expect(compare(step(b), step(a))).toEqual([
      { kind: 'step', input: 0, name: '[build 1/1] RUN a', before: a, after: b },
    ])
    expect(compare(step(b), upon(image(a), name('debian', a)))).toMatchObject([
      { kind: 'image', after: null },
    ])
  })

  it('finds the inputs of mounts by their targets, wherever they stand', () => {
    const mount = (target: string, input: number) => ({ kind: 'bind', target, input, readOnly: true })
    const content = (digest: typeof a): RecordedInput => ({ kind: 'content', digest, preimage: {} })
    const base: RecordedInput = { kind: 'result', key: a }
    const earlier = sideOf({ ...exec, mounts: [mount('/x', 1)] }, { inputs: [base, content(a)] })
    const now = sideOf(
      { ...exec, mounts: [mount('/new', 1), mount('/x', 2)] },
      { inputs: [base, content(b), content(a)], inputNames: ['base', 'new', 'x'] },
    )
    expect(compare(now, earlier)).toEqual([
      expect.objectContaining({ kind: 'mount', target: '/new', option: null }),
      { kind: 'input', before: null, after: 'new' },
    ])
  })

  it('takes records that make no sense', () => {
    for (const op of [null, 1, 'x', [], {}, { kind: 'exec.v3', mounts: 'x', env: [1] }] as const) {
      expect(() => compare(sideOf(exec), sideOf(op))).not.toThrow()
      expect(() => compare(sideOf(op), sideOf(exec))).not.toThrow()
    }
  })
})
