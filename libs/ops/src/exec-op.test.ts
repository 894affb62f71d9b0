import { digestBytes } from '@tsbuild/digest'
import type { ExecOp } from '@tsbuild/graph'
import { definitionKey } from '@tsbuild/solver'
import { describe, expect, it } from 'vitest'
import { execOp } from './exec-op.ts'
import { untouchable } from './testing/untouchable.ts'

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

const base = { kind: 'result', key: digestBytes('base') } as const
const keyOf = (changed: Partial<ExecOp>) => {
  const made = { ...op, ...changed }
  return definitionKey(execOp(made, untouchable()).key, made.rootfs === undefined ? [] : [base])
}

describe('execOp() and its key', () => {
  it('execOp() has the pinned key exec.v2', () => {
    expect(keyOf({})).toMatchInlineSnapshot(
      `"sha256:a8923ef4e7aa9c8c15bf08318302b7b11a3e8a50dbe26b8099e82db3e3da21bd"`,
    )
    expect(execOp(op, untouchable()).key).toEqual({
      kind: 'exec.v2',
      args: ['/bin/sh', '-c', 'make'],
      cwd: '/src',
      env: ['PATH=/bin', 'A=1'],
      extraHosts: ['db'],
      hostname: 'buildkitsandbox',
      network: 'default',
      platform: 'linux/amd64',
      scripts: [{ path: '/dev/pipes/EOF', content: '#!/bin/sh\n' }],
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

  it('execOp() counts its root file system by the step that made it, never by content', () => {
    const step = execOp(op, untouchable())
    expect([step.inputs, step.bases, step.pure]).toEqual([[{}], [0], false])
    expect(execOp({ ...op, rootfs: undefined }, untouchable())).toMatchObject({ inputs: [], bases: [] })
  })
})
