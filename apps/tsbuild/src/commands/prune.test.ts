import { Readable } from 'node:stream'
import type { Builder, PrunedItem, PruneRequest, PruneResult } from '@tsbuild/builder'
import { describe, expect, it } from 'vitest'
import { type MemoryHostOptions, memoryHost } from '../test-support/memory-host.ts'
import { run } from './prune.ts'

const step: PrunedItem = {
  id: 'ab'.repeat(16),
  kind: 'regular',
  description: '[2/3] RUN make\u001b[31m',
  freedBytes: 21_000_000,
  reason: { code: 'unused', text: 'unused for 9 d' },
}
const layer: PrunedItem = {
  ...step,
  id: 'cd'.repeat(32),
  description: 'blob',
  reason: { code: 'part-of-removed', text: 'nothing else needs it' },
}
const kept = { id: 'app:1.0', kind: 'image', description: 'app:1.0', sizeBytes: 0 } as const
const result: PruneResult = {
  removed: [step, layer],
  kept: [{ ...kept, reason: { code: 'fixed', text: 'a named image' } }],
  freedBytes: 42_000_000,
  totalBytes: 1_500_000,
}

/** Runs the command on a builder that removes a step and its layer. */
async function pruned(argv: readonly string[], options: MemoryHostOptions = {}) {
  const requests: PruneRequest[] = []
  const builder: Partial<Builder> = {
    async prune(request = {}) {
      requests.push(request)
      for (const item of result.removed) request.onRemoved?.(item)
      return result
    },
  }
  const host = memoryHost({ builder, env: { HOME: '/home/a' }, ...options })
  const code = await run(argv, host)
  return { code, out: host.out(), err: host.err(), requests, opened: host.opened }
}

const terminal = (typed: string) => ({ stdin: Object.assign(Readable.from([typed]), { isTTY: true }) })

describe('tsbuild prune', () => {
  it('says what was removed, without the parts that went with it and without what a terminal would obey', async () => {
    const { code, out, requests } = await pruned(['-f'])
    expect(code).toBe(0)
    const text = out.split('\n')
    expect(text[0]).toMatch(/^removed abababababab 21MB \[2\/3\] RUN make.* \(unused for 9 d\)$/)
    expect(out).not.toContain('\u001b')
    expect(text.slice(1)).toEqual(['Freed: 42MB', 'Left: 1.5MB', ''])
    expect(requests[0]).toMatchObject({ all: false, dryRun: false })
  })

  it('says everything with --verbose, and what would be with --dry-run', async () => {
    const { out } = await pruned(['--dry-run', '-v'])
    expect(out).toMatch(/^would remove cdcdcdcdcdcd 21MB blob \(nothing else needs it\)$/m)
    expect(out).toMatch(/^would keep app:1\.0 0B app:1\.0 \(a named image\)$/m)
    expect(out).toMatch(/^Would free: 42MB$/m)
  })

  it('hands over what the flags say, under docker’s names too', async () => {
    const limits = ['--max-used-space', '50%', '--min-free-space', '1g']
    const { requests } = await pruned(['-af', '--filter', 'type=source', '--filter', 'until=1h', ...limits])
    expect(requests[0]).toMatchObject({
      all: true,
      filters: ['type=source', 'until=1h'],
      maxUsed: { percent: 50 },
      minFree: { bytes: 2 ** 30 },
    })
    const names = ['--older-than', '7d', '--keep-storage', '2k']
    const dockers = ['--keep-duration', '7d', '--reserved-space', '2k']
    for (const flags of [names, dockers])
      expect((await pruned(['-f', ...flags])).requests[0]).toMatchObject({
        olderThan: '7d',
        keep: { bytes: 2048 },
      })
  })

  it('writes JSON and nothing else with --format json', async () => {
    const { out } = await pruned(['-f', '--format', 'json'])
    expect(JSON.parse(out)).toEqual(result)
  })

  it.each([
    ['y\n', true],
    ['Yes\n', true],
    ['n\n', false],
    ['\n', false],
    ['', false],
    ['yesterday\n', false],
  ])('asks at a terminal, and takes %j for %j', async (typed, goes) => {
    const { code, err, requests, opened } = await pruned([], terminal(typed))
    expect(err).toBe('This removes all build cache that no named image was built from. Continue? [y/N] ')
    expect([code, requests.length, opened.length]).toEqual(goes ? [0, 1, 1] : [0, 0, 0])
  })

  it('does not wait for an answer where there is no terminal', async () => {
    const usage = expect.objectContaining({ code: 'ERR_USAGE', hints: [expect.stringContaining('--force')] })
    await expect(pruned([], { stdin: Readable.from(['y\n']) as never })).rejects.toThrow(usage)
  })

  it.each([
    ['--max-used-space', '50'.repeat(20)],
    ['--max-used-space', '101%'],
    ['--keep-storage', 'much'],
    ['--min-free-space', ''],
    ['--format', 'yaml'],
  ])('refuses %s %j', async (...flag) => {
    await expect(pruned(['-f', ...flag])).rejects.toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })
})
