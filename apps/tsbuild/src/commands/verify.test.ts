import type { Finding, VerifyReport } from '@tsbuild/builder'
import { describe, expect, it } from 'vitest'
import { memoryHost } from '../test-support/memory-host.ts'
import { run } from './verify.ts'

const checked = {
  blobs: 2,
  blobBytes: 1_500_000,
  snapshots: 1,
  withoutDigest: 0,
  records: 3,
  foreignRecords: 0,
  images: 1,
}
const blob: Finding = {
  kind: 'blob',
  severity: 'damage',
  path: '/store/v1/blobs/sha256/aa',
  problem: 'its bytes have the digest \x1b[31mof others',
  repair: 'is moved to quarantine',
  loses: 'work',
}
const stranger: Finding = {
  kind: 'foreign',
  severity: 'notice',
  path: '/store/notes.txt',
  problem: 'tsbuild did not make it',
  repair: undefined,
  loses: 'nothing',
}

/** A host whose store has these findings. */
function hostWith(findings: readonly Finding[], sound: boolean) {
  const report: VerifyReport = { sound, findings, checked }
  return memoryHost({
    env: { TSBUILD_ROOT: '/store', HOME: '/nonexistent' },
    verifyStore: async ({ onFinding }) => {
      for (const finding of findings) onFinding?.(finding)
      return report
    },
  })
}

describe('tsbuild verify', () => {
  it('says what it looked at, and ends with 0, where nothing is damaged', async () => {
    const host = hostWith([stranger], true)
    expect(await run([], host)).toBe(0)
    expect(host.out()).toBe(
      [
        'notice   foreign notes.txt: tsbuild did not make it',
        '         It is left alone.',
        '',
        'Checked 1 image, 2 blobs (1.5MB), 1 snapshot, 3 records.',
        'Nothing is damaged.',
        '',
      ].join('\n'),
    )
  })

  it('says what is wrong and what --repair would do, safely for a terminal, and ends with 1', async () => {
    const host = hostWith([blob], false)
    expect(await run([], host)).toBe(1)
    expect(host.opened).toMatchObject([{ root: '/store', repair: false }])
    expect(host.out()).toBe(
      [
        'damaged  blob v1/blobs/sha256/aa: its bytes have the digest \\x1b[31mof others',
        '         With --repair it is moved to quarantine. The next build makes it again.',
        '',
        'Checked 1 image, 2 blobs (1.5MB), 1 snapshot, 3 records.',
        '1 damage left. `tsbuild verify --repair` mends what it can.',
        '',
      ].join('\n'),
    )
  })

  it('--repair says what was done and what was left', async () => {
    const findings = [
      { ...blob, outcome: 'repaired' },
      { ...blob, path: '/store/v1/snapshots/bb', outcome: 'in-use' },
    ] as const
    const host = hostWith(findings, false)
    expect(await run(['--repair'], host)).toBe(1)
    expect(host.opened).toMatchObject([{ repair: true }])
    expect(host.out()).toContain('\n         It is moved to quarantine. The next build makes it again.\n')
    expect(host.out()).toContain('\n         Not repaired: a build uses it.\n')
    expect(host.out()).toContain('1 damage left, 1 repaired.')
  })

  it('--format json is the report and nothing else', async () => {
    const host = hostWith([blob], false)
    expect(await run(['--format', 'json'], host)).toBe(1)
    expect(JSON.parse(host.out())).toEqual(
      JSON.parse(JSON.stringify({ sound: false, findings: [blob], checked })),
    )
  })

  it('listens for signals only while it runs', async () => {
    const host = hostWith([], true)
    await run([], host)
    expect(host.listening()).toBe(false)
  })
})
