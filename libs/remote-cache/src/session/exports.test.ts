import { temporaryStore } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import { chainOf } from '../testing/contract.ts'
import { createMemoryCache } from '../testing/memory-cache.ts'
import type { CacheExporter, ExportedStep } from '../types.ts'
import { type ExportTarget, openExports } from './exports.ts'

const graph = { vertices: [], targets: [] }

async function exportsTo(targets: readonly ExportTarget[], required = false) {
  const warnings: string[] = []
  const lines: string[] = []
  const store = await temporaryStore()
  const exports = openExports({
    targets,
    required,
    warn: (message) => warnings.push(message),
    store,
    snapshotter: {} as never,
    // Found layers are passed on from the cache that has them.
    fetch: async (layer) => {
      const [bytes] = [...chain.bytesOf].flatMap(([digest, each]) => (digest === layer.digest ? [each] : []))
      if (bytes !== undefined) await store.blobs.put(bytes)
    },
    now: () => performance.now(),
    signal: new AbortController().signal,
    show: async (name, body) => {
      lines.push(name)
      return await body((line) => lines.push(line))
    },
  })
  return { exports, warnings, lines }
}

const chain = chainOf(['a', 'b', 'c'])
const steps = chain.steps.map((step, index) => ({ ...step, inImage: index !== 1 }))
const target = (
  cache: ReturnType<typeof createMemoryCache>,
  more: Partial<ExportTarget> = {},
): ExportTarget => ({
  name: cache.name,
  mode: 'max',
  ignoreError: false,
  open: async (tools) => cache.exporter(tools),
  ...more,
})

describe('openExports()', () => {
  it('sends every step, or those whose layers are in the image, and says what was done', async () => {
    for (const [mode, count] of [
      ['max', 3],
      ['min', 2],
    ] as const) {
      const cache = createMemoryCache(`/${mode}`)
      const { exports, lines, warnings } = await exportsTo([target(cache, { mode })])
      await exports.finish(graph, async () => steps)
      expect([new Set(cache.results.values()).size, cache.blobs.size, warnings]).toEqual([count, count, []])
      expect(lines[0]).toBe(`exporting cache to /${mode}`)
      expect(lines.at(-1)).toMatch(
        new RegExp(`^${count} steps, ${count} layers sent \\([\\d.]+ (bytes|KiB)\\), 0 there already$`),
      )
    }
  })

  it('sends a layer while later steps run', async () => {
    const cache = createMemoryCache('/early')
    const sent = withResolvers()
    cache.fault = (call) => {
      if (call.startsWith('sent')) sent.resolve()
    }
    const { exports } = await exportsTo([target(cache)])
    const [first] = steps
    if (first === undefined) throw new Error('there is no step')
    exports.add(first)
    await sent.promise
    expect(cache.calls).not.toContain('finish')
    await exports.finish(graph, async () => steps)
    expect(cache.calls.filter((call) => call.startsWith('sent'))).toHaveLength(3)
  })

  it('tells an exporter of each step once, and which were found in that very cache', async () => {
    const told: ExportedStep[] = []
    const finished: (readonly ExportedStep[])[] = []
    const exporter: CacheExporter = {
      name: '/same',
      add: (step) => void told.push(step),
      finish: async (build) => {
        finished.push(build.steps)
        return { records: 0, sentBlobs: 0, sentBytes: 0, skippedBlobs: 0 }
      },
      abort: async () => {},
    }
    const { exports } = await exportsTo([target(createMemoryCache('/same'), { open: async () => exporter })])
    const found = steps.map((step, index) =>
      index === 0 ? { ...step, record: { ...step.record, from: '/same' } } : step,
    )
    for (const step of found) exports.add(step)
    await exports.finish(graph, async () => found)
    expect(told.map(({ isThere }) => isThere)).toEqual([true, false, false])
    expect(finished[0]?.every((step, index) => step === told[index])).toBe(true)
  })

  it('warns of an export that fails, or fails with it where the build needs its caches', async () => {
    const failing = (call: string) => {
      if (call === 'finish') throw new Error('quota exceeded')
    }
    const cache = createMemoryCache('/full')
    cache.fault = failing
    const { exports, warnings } = await exportsTo([target(cache)])
    await exports.finish(graph, async () => steps)
    expect(warnings).toEqual(['Cache export to "/full" is given up: quota exceeded'])
    expect(cache.calls).toContain('abort')
    const needed = await exportsTo([target(cache)], true)
    await expect(needed.exports.finish(graph, async () => steps)).rejects.toMatchObject({ code: 'ERR_CACHE' })
    const ignored = await exportsTo([target(cache, { ignoreError: true })], true)
    await ignored.exports.finish(graph, async () => steps)
    expect(ignored.warnings).toHaveLength(1)
  })

  it('warns of one that cannot be opened, and fills the others', async () => {
    const cache = createMemoryCache('/good')
    const { exports, warnings } = await exportsTo([
      target(createMemoryCache('/bad'), { open: () => Promise.reject(new Error('no such host')) }),
      target(cache),
    ])
    for (const step of steps) exports.add(step)
    await exports.finish(graph, async () => steps)
    expect(warnings).toEqual(['Cache export to "/bad" is given up: no such host'])
    expect(new Set(cache.results.values()).size).toBe(3)
  })
})

function withResolvers() {
  let resolve = () => {}
  const promise = new Promise<void>((resume) => {
    resolve = resume
  })
  return { promise, resolve: () => resolve() }
}
