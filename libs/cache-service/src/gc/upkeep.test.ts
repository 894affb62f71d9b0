import { createHash } from 'node:crypto'
import { memoryStore } from '@tsbuild/object-store/testing'
import { Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Keeper } from './types.ts'
import { Upkeep } from './upkeep.ts'
import { addUpkeepMetrics } from './upkeep-metrics.ts'

function openWorld(failing = false) {
  let nowMs = 1_700_000_000_000
  const store = memoryStore({ now: () => nowMs })
  const failures: string[] = []
  const keeper: Keeper = {
    name: 'blobs',
    async *holders() {
      if (failing) throw new Error('the keeper fails')
      yield* []
    },
    evict: async () => [],
    sweeps: [{ prefix: 'blobs/', held: () => [] }],
  }
  const upkeep = new Upkeep({
    store,
    intervalMs: 3_600_000,
    graceMs: 1000,
    promiseMs: 100,
    maxBytes: () => 2000,
    scrubPerDay: () => Number.POSITIVE_INFINITY,
    now: () => nowMs,
    id: 'one',
    onFailure: (what, error) => failures.push(`${what}: ${String(error)}`),
  })
  onTestFinished(() => upkeep.close())
  const digestOf = (key: string) => ({ algorithm: 'sha256' as const, hex: key.slice('blobs/'.length) })
  upkeep.start({ keepers: [keeper], targets: [{ prefix: 'blobs/', digestOf }] })
  const put = (text: string) => {
    const bytes = Buffer.alloc(900, text)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    return upkeep.store.putIfAbsent(`blobs/${sha256}`, bytes, { sha256, size: bytes.length })
  }
  const advance = (ms: number) => {
    nowMs += ms
  }
  return { store, upkeep, put, advance, failures }
}

describe('Upkeep', () => {
  it('run() finds out how much there is, holds the store to its size, and makes room when it may', async () => {
    const { upkeep, put, advance } = openWorld()
    await put('a')
    await upkeep.run()
    await put('b')
    await expect(put('c')).rejects.toMatchObject({ code: 'ERR_STORE_NO_SPACE' })
    await upkeep.run()
    await expect(put('c')).rejects.toMatchObject({ code: 'ERR_STORE_NO_SPACE' })
    advance(1101)
    await upkeep.run()
    expect(upkeep.totals).toEqual({ evicted: 0, expired: 0, swept: 2, sweptBytes: 1800 })
    expect(await put('c')).toBe(true)
  })

  it('is seen in the metrics', async () => {
    const { store, upkeep, put } = openWorld()
    await put('a')
    const wrong = `blobs/${'0'.repeat(64)}`
    const sha256 = createHash('sha256').update('x').digest('hex')
    await store.putIfAbsent(wrong, Buffer.from('x'), { sha256 })
    const registry = new Registry()
    addUpkeepMetrics(registry, upkeep)
    await upkeep.run()
    const text = await registry.metrics()
    expect(text).toMatch(/^cache_server_stored_bytes_limit 2000$/m)
    expect(text).toMatch(/^cache_server_stored_bytes (9|10)\d\d$/m)
    expect(text).toMatch(/^cache_server_damaged_objects_total 1$/m)
    expect(text).toMatch(/^cache_server_collections_total\{outcome="collected"\} 1$/m)
    expect(text).toMatch(/^cache_server_collected_timestamp_seconds \d+/m)
    expect(text).toMatch(/^cache_server_scrubbed_objects_total 2$/m)
    expect(text).toMatch(/^cache_server_scrub_rounds_total 1$/m)
    expect(text).toMatch(/^cache_server_scrubbed_bytes_total 901$/m)
    expect(await store.head(wrong)).toBeUndefined()
  })

  it('goes on after a failure, and says what failed', async () => {
    const { upkeep, failures, put } = openWorld(true)
    await put('a')
    await upkeep.run()
    expect(failures).toEqual(['collect: Error: the keeper fails'])
    expect(upkeep.scrubbed.objects).toBe(1)
    expect(upkeep.runs).toEqual({ collected: 0, elsewhere: 0, failed: 1, scrubFailed: 0 })
    expect(upkeep.lastRun).toBeUndefined()
  })
})
