import { digestBytes, parseDiffId } from '@tsbuild/digest'
import type { ExecOp } from '@tsbuild/graph'
import { describe, expect, it } from 'vitest'
import { decodeFailure, encodeFailure, type FailureRecord } from './failure-record.ts'
import { snapshotId } from './testing/recording-options.ts'

const digest = digestBytes('layer')
const owned = { target: '/t', mode: 0o400, uid: 1, gid: 2 }
const op: ExecOp = {
  kind: 'exec',
  rootfs: 0,
  args: ['/bin/sh', '-c', 'make'],
  shell: ['/bin/sh', '-c'],
  env: ['A=1'],
  cwd: '/src',
  user: 'app',
  network: 'default',
  security: 'sandbox',
  hostname: 'box',
  extraHosts: [{ name: 'db', ip: '10.0.0.1' }],
  platform: 'linux/amd64',
  scripts: [{ path: '/dev/pipes/EOF', content: '#!/bin/sh' }],
  mounts: [
    { kind: 'bind', input: 1, source: '/', target: '/b', readOnly: true },
    {
      ...{ kind: 'cache', id: 'npm', target: '/c', input: undefined, source: '/', readOnly: false },
      ...{ sharing: 'locked', mode: undefined, uid: 0, gid: undefined },
    },
    { kind: 'tmpfs', target: '/m', sizeBytes: undefined, readOnly: false },
    { ...owned, kind: 'secret', id: 'token', env: 'TOKEN', required: true },
    { ...owned, kind: 'ssh', id: 'default', required: false },
  ],
  ulimits: [{ name: 'nofile', soft: 10, hard: undefined }],
  shmSizeBytes: 1024,
  cgroupParent: 'builds',
}
const record: FailureRecord = {
  ref: 'ab'.repeat(12),
  at: 42,
  name: '[build 2/4] RUN make',
  source: { file: 'Dockerfile', startLine: 3, startColumn: 0, endLine: 3, endColumn: 8 },
  code: 'ERR_STEP_FAILED',
  exitCode: 2,
  scope: 'pr/7',
  walls: {
    security: 'minimal',
    noNewPrivileges: true,
    userns: 'auto',
    limits: { memoryBytes: 1 },
    stepLimits: { cpusetCpus: '0' },
  },
  op,
  inputs: [
    {
      layers: [
        { kind: 'image', reference: 'r', mediaType: 'm', digest, size: 3, diffId: parseDiffId(digest) },
        { kind: 'snapshot', id: snapshotId, createdAt: 7 },
      ],
    },
    { layers: [] },
  ],
}

/** The record with one member at a path replaced; without a value it is taken away. */
function changed(path: readonly (string | number)[], value?: unknown): string {
  const copy = JSON.parse(encodeFailure(record))
  const last = path.at(-1) ?? ''
  const owner = path.slice(0, -1).reduce((at, name) => at[name], copy)
  if (value === undefined) delete owner[last]
  else owner[last] = value
  return JSON.stringify(copy)
}

describe('decodeFailure()', () => {
  it('gives back what encodeFailure() wrote, as text that can be read', () => {
    const written = encodeFailure(record)
    expect(decodeFailure(written)).toEqual(record)
    expect(written).toContain('"name": "[build 2/4] RUN make"')
  })

  it('takes members that it does not know for those of a later version', () => {
    expect(decodeFailure(changed(['op', 'later'], 1))?.op.args).toEqual(op.args)
  })

  it.each([
    [['format'], 2],
    [['ref']],
    [['at'], -1],
    [['name'], null],
    [['scope']],
    [['walls']],
    [['walls', 'security'], 'insecure'],
    [['walls', 'limits', 'memoryBytes'], '1'],
    [['walls', 'stepLimits', 'cpusetCpus'], 0],
    [['source'], 'x'],
    [['source', 'startLine']],
  ])('knows no failure in one whose %j is %j', (path, value?: unknown) =>
    expect(decodeFailure(changed(path, value))).toBeUndefined(),
  )

  it.each([
    [['op']],
    [['op', 'kind'], 'file'],
    [
      ['op', 'args'],
      ['a', 1],
    ],
    [['op', 'network'], 'bridge'],
    [['op', 'security'], 'none'],
    [['op', 'rootfs'], 2],
    [['op', 'rootfs'], -1],
    [['op', 'mounts', 0, 'input'], 7],
    [['op', 'mounts', 0, 'kind'], 'secret'],
    [['op', 'mounts', 1, 'sharing'], 'foo'],
    [['op', 'mounts', 3, 'mode'], '0400'],
    [['op', 'ulimits', 0, 'soft'], 'x'],
    [['inputs'], {}],
    [['inputs', 0, 'layers', 1, 'id'], '../../etc'],
    [['inputs', 0, 'layers', 0, 'digest'], 'sha256:x'],
    [['inputs', 0, 'layers', 0, 'kind'], 'other'],
  ])('knows no failure in one whose %j is %j', (path, value?: unknown) => {
    expect(decodeFailure(changed(path, value))).toBeUndefined()
  })

  it.each(['', '{', 'null', '[]', '1', '"x"', '{"format":1}'])('knows no failure in %j', (written) => {
    expect(decodeFailure(written)).toBeUndefined()
  })
})
