import { dirname, join } from 'node:path'
import { digestHex, parseDigest } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { Layout } from './layout.ts'
import { openStore } from './open-store.ts'
import type { SnapshotId } from './snapshot-types.ts'
import { canTrace, readTrace, traced } from './testing/strace.ts'
import { storeOptions, temporaryDirectory } from './testing/temporary-store.ts'
import { writerProcesses } from './testing/writer-process.ts'

const spawnWriter = writerProcesses()

/** One call of a writer, by what must be in its line. */
type Step = readonly [what: string, ...contains: string[]]

/** Each step must be found after the one before it: the order in which things have to reach the disk. */
function expectOrder(calls: readonly string[], steps: readonly Step[]): void {
  let position = 0
  for (const [what, ...contains] of steps) {
    const found = calls.findIndex(
      (call, index) => index >= position && contains.every((part) => call.includes(part)),
    )
    expect(found, `${what} (${contains.join(' … ')})`).toBeGreaterThanOrEqual(position)
    position = found + 1
  }
}

/** The temporary file that a call gave the name. */
function sourceOf(calls: readonly string[], syscall: string, path: string): string {
  const call = calls.find((line) => line.startsWith(syscall) && line.includes(`"${path}"`))
  return /^\w+\("([^"]+)"/.exec(call ?? '')?.[1] ?? `no ${syscall} to ${path}`
}

describe.skipIf(!canTrace())('the order of system calls', () => {
  it('puts bytes on disk before their name, and the name before the report', async () => {
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    const log = join(temporaryDirectory('trace-'), 'log')
    const syscalls = ['fsync', 'syncfs', 'link', 'rename', 'write']
    const writer = spawnWriter(root, { do: 'write', steps: 2 }, traced(syscalls, log))
    expect(await writer.ended).toEqual({ code: 0, signal: null })
    const calls = readTrace(log).map(({ text }) => text)
    const layout = new Layout(root)

    expect(writer.reports.filter(({ type }) => type !== 'end')).toHaveLength(8)
    for (const report of writer.reports) {
      switch (report.type) {
        case 'blob': {
          const path = layout.blob(parseDigest(report.digest))
          expectOrder(calls, [
            ['bytes', 'fsync', `<${sourceOf(calls, 'link', path)}>`],
            ['name', 'link', `"${path}"`],
            ['directory', 'fsync', `<${layout.blobs}>`],
            ['report', 'write', digestHex(parseDigest(report.digest))],
          ])
          break
        }
        case 'snapshot': {
          const { marker, directory } = layout.snapshot(report.id as SnapshotId)
          for (const record of report.keys.map((key) => layout.record(parseDigest(key)))) {
            const temporary = sourceOf(calls, 'rename', record.path)
            expectOrder(calls, [
              ['record text', 'write', `<${temporary}>`],
              ['everything', 'syncfs', `<${root}>`],
              ['snapshot', 'rename', `"${marker}"`],
              ['record', 'rename', `"${record.path}"`],
              ['record directory', 'fsync', `<${record.directory}>`],
              ['report', 'write', 'snapshot', report.id],
            ])
          }
          expectOrder(calls, [
            ['data', 'write', `<${join(directory, 'fs', 'data')}>`],
            ['everything', 'syncfs', `<${root}>`],
            ['snapshot', 'rename', `"${marker}"`],
            ['snapshot directory', 'fsync', `<${directory}>`],
            ['report', 'write', 'snapshot', report.id],
          ])
          break
        }
        case 'source': {
          const path = layout.sourceName(report.name)
          const tree = dirname(report.path)
          expectOrder(calls, [
            ['data', 'write', `<${join(report.path, 'data')}>`],
            ['everything', 'syncfs', `<${root}>`],
            ['tree', 'rename', `"${join(tree, 'source.json')}"`],
            ['name', 'rename', `"${path}"`],
            ['tree directory', 'fsync', `<${tree}>`],
            ['report', 'write', 'source', report.path],
          ])
          expectOrder(calls, [
            ['name text', 'write', `<${sourceOf(calls, 'rename', path)}>`],
            ['everything', 'syncfs', `<${root}>`],
            ['name', 'rename', `"${path}"`],
            ['name directory', 'fsync', `<${layout.sourceNames}>`],
            ['report', 'write', 'source', report.path],
          ])
          break
        }
        case 'image':
          expectOrder(calls, [
            ['list', 'write', report.name],
            ['list on disk', 'fsync', `<${layout.ingest}`],
            ['name', 'rename', `"${layout.index}"`],
            ['directory', 'fsync', `<${layout.v1}>`],
            ['report', 'write', `image`, report.name],
          ])
          break
      }
    }
  }, 30_000)

  it('puts what a cache mount is made of on disk before it has its name, and the name before its use', async () => {
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    const log = join(temporaryDirectory('trace-'), 'log')
    const writer = spawnWriter(
      root,
      { do: 'mount', id: 'x', sharing: 'shared' },
      traced(['fsync', 'syncfs', 'rename', 'write'], log),
    )
    await writer.reported('mount')
    writer.proceed()
    expect(await writer.ended).toEqual({ code: 0, signal: null })
    const calls = readTrace(log).map(({ text }) => text)
    const [report] = writer.reports
    const directory = report?.type === 'mount' ? dirname(report.path) : 'no report'
    const draft = sourceOf(calls, 'rename', directory)
    expect(draft).toContain('/ingest/')
    expectOrder(calls, [
      ['what it holds', 'write', `<${join(draft, 'fs', 'count')}>`],
      ['whose it is', 'write', `<${join(draft, 'meta.json')}>`],
      ['everything', 'syncfs', `<${root}>`],
      ['name', 'rename', `"${draft}"`, `"${directory}"`],
      ['report', 'write', 'mount', directory],
    ])
    for (const parent of [dirname(directory), join(root, 'v1', 'mounts')]) {
      expectOrder(calls, [
        ['name', 'rename', `"${draft}"`],
        ['directory', 'fsync', `<${parent}>`],
        ['report', 'write', 'mount', directory],
      ])
    }
  }, 30_000)
})
