import type { DiskUsageReport } from '@tsbuild/builder'
import { describe, expect, it } from 'vitest'
import { memoryHost } from '../test-support/memory-host.ts'
import { run } from './du.ts'

const report: DiskUsageReport = {
  items: [
    {
      id: 'ab'.repeat(16),
      kind: 'regular',
      description: `[2/3] RUN make ${'x'.repeat(80)}\u001b[31m`,
      sizeBytes: 21_000_000,
      sharedBytes: 1000,
      createdAt: 0,
      usedAt: 3000,
      rebuildMs: 12_340,
      inUse: true,
      reclaimable: false,
      reason: { code: 'in-use', text: 'in use by a build' },
    },
  ],
  kinds: [{ kind: 'regular', count: 1, bytes: 20_999_000, sharedBytes: 0, reclaimableBytes: 5 }],
  totalBytes: 20_999_000,
  sharedBytes: 0,
  reclaimableBytes: 5,
  disk: { totalBytes: 1e9, freeBytes: 5e8 },
}

async function du(argv: readonly string[]) {
  const asked: unknown[] = []
  const diskUsage = async (request: unknown) => {
    asked.push(request)
    return report
  }
  const host = memoryHost({ builder: { diskUsage }, env: { HOME: '/home/a' } })
  const code = await run(argv, host)
  return { code, out: host.out(), asked }
}

describe('tsbuild du', () => {
  it('shows items, sums by kind and totals', async () => {
    const { code, out } = await du([])
    expect(code).toBe(0)
    const [head, item, blank, kinds, regular, , ...totals] = out.split('\n')
    expect(head).toBe(`ID             TYPE      RECLAIMABLE   SIZE   LAST USED       DESCRIPTION`)
    expect(item).toBe(
      `abababababab   regular   false         21MB   2 seconds ago   [2/3] RUN make ${'x'.repeat(56)}…`,
    )
    expect([blank, kinds, regular]).toEqual([
      '',
      'TYPE      COUNT   SIZE   SHARED   RECLAIMABLE',
      'regular   1       21MB   0B       5B',
    ])
    expect(totals.join('\n')).toMatch(/^Total: +21MB\nFree on the disk: +500MB of 1GB\n$/m)
  })

  it('says all of an item with --verbose', async () => {
    const { out } = await du(['-v'])
    expect(out).toMatch(/^Description: +\[2\/3\] RUN make x{80}/m)
    expect(out).toMatch(
      /^To make again: +12\.3 s\nIn use: +true\nReclaimable: +false\nWhy: +in use by a build$/m,
    )
    expect(out).not.toContain('\u001b')
  })

  it('writes the report with --format json, and hands filters over', async () => {
    const { out, asked } = await du(['--format', 'json', '--filter', 'type=regular', '--filter', 'shared'])
    expect(JSON.parse(out)).toEqual(report)
    expect(asked).toEqual([{ filters: ['type=regular', 'shared'] }])
  })
})
