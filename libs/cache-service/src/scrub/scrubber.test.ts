import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type OpenObjectStore, openFsStore } from '@tsbuild/object-store'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Damage, Scrubber } from './scrubber.ts'

const never = new AbortController().signal
const dayMs = 24 * 3_600_000

async function openWorld() {
  const root = mkdtempSync(join(tmpdir(), 'tsbuild-scrub-'))
  let nowMs = 1_700_000_000_000
  const now = () => nowMs
  const randomId = () => randomBytes(16).toString('hex')
  const store = await openFsStore({ root, now, randomId, durability: 'none' })
  onTestFinished(async () => {
    await store.close()
    rmSync(root, { recursive: true, force: true })
  })
  const damages: Damage[] = []
  const scrubber = (id = 'one') =>
    new Scrubber({
      store,
      targets: ['a', 'b'].map((part) => ({
        prefix: `${part}/`,
        digestOf: (key) => ({ algorithm: part === 'b' ? 'sha512' : 'sha256', hex: key.slice(2) }),
      })),
      now,
      id,
      onDamage: (damage) => damages.push(damage),
    })
  const advance = (ms: number) => {
    nowMs += ms
  }
  return { store, scrubber, damages, advance, now }
}

async function put(store: OpenObjectStore, algorithm: 'sha256' | 'sha512', text: string): Promise<string> {
  const bytes = Buffer.from(text)
  const hash = (name: string) => createHash(name).update(bytes).digest('hex')
  const key = `${algorithm === 'sha256' ? 'a' : 'b'}/${hash(algorithm)}`
  await store.putIfAbsent(key, bytes, { sha256: hash('sha256'), size: bytes.length })
  return key
}

/** Changes a byte of an object, as a disk would. */
async function damage(store: OpenObjectStore, key: string): Promise<void> {
  const body = await store.get(key)
  body?.stream.destroy()
  const path = body?.path ?? ''
  const bytes = readFileSync(path)
  bytes[0] = (bytes[0] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

describe('Scrubber', () => {
  it('run() takes away what is damaged, keeps its bytes aside, and a new upload heals it', async () => {
    const { store, scrubber, damages, now } = await openWorld()
    const keys = [
      await put(store, 'sha256', 'one'),
      await put(store, 'sha512', 'two'),
      await put(store, 'sha256', 'three'),
    ]
    const [, bad = ''] = keys
    await damage(store, bad)
    const one = scrubber()
    await one.run(dayMs, never)
    expect(damages).toEqual([
      {
        key: bad,
        size: 3,
        actual: expect.any(String),
        quarantined: `quarantine/v1/${now()}-${bad.slice(2)}`,
      },
    ])
    expect(one.counts).toEqual({ objects: 3, bytes: 11, damaged: 1, rounds: 1 })
    expect(await store.head(bad)).toBeUndefined()
    expect(await store.head(damages[0]?.quarantined ?? '')).toMatchObject({ size: 3 })
    expect(await put(store, 'sha512', 'two')).toBe(bad)
    expect(await store.head(bad)).toBeDefined()
    for (const key of keys) expect(await store.head(key)).toBeDefined()
  })

  it('run() reads so many bytes a day, over several runs, and then from the begin again', async () => {
    const { store, scrubber, advance } = await openWorld()
    const texts = Array.from({ length: 10 }, (_, number) => `${number}`.repeat(100))
    for (const text of texts) await put(store, 'sha256', text)
    const one = scrubber()
    const perRun: number[] = []
    for (let run = 0; run < 12; run += 1) {
      const before = one.counts.bytes
      await one.run(24 * 250, never)
      perRun.push(one.counts.bytes - before)
      advance(3_600_000)
    }
    // 250 bytes are due each hour: what was read too much is taken off the next time.
    expect(perRun.slice(0, 4)).toEqual([300, 200, 300, 200])
    expect(one.counts.rounds).toBeGreaterThanOrEqual(2)
    expect(one.counts).toMatchObject({ damaged: 0 })
  })

  it('run() goes on where another process stopped, and does nothing beside it', async () => {
    const { store, scrubber, advance, now } = await openWorld()
    for (const text of ['1', '2', '3', '4']) await put(store, 'sha256', text.repeat(100))
    const [one, two] = [scrubber('one'), scrubber('two')]
    await one.run(24 * 200, never)
    advance(3_600_000)
    await two.run(24 * 200, never)
    expect([one.counts.objects, two.counts.objects]).toEqual([2, 2])
    const turn = await store.head('scrub/v1/turn')
    const value = Buffer.from(
      JSON.stringify({ v: 1, holder: 'three', untilMs: now() + (4 * 3_600_000) / 60 }),
    )
    await store.cas('scrub/v1/turn', turn?.version ?? null, value)
    advance(100)
    await two.run(dayMs * 1000, never)
    expect(two.counts.objects).toBe(2)
  })

  it('run() leaves what was put anew while it was judged', async () => {
    const { store, scrubber, damages } = await openWorld()
    const key = await put(store, 'sha256', 'text')
    await damage(store, key)
    const healing = {
      ...store,
      list: store.list.bind(store),
      get: store.get.bind(store),
      head: store.head.bind(store),
      cas: store.cas.bind(store),
      putIfAbsent: store.putIfAbsent.bind(store),
      delete: async (...args: Parameters<OpenObjectStore['delete']>) => {
        await store.delete(key)
        await put(store, 'sha256', 'text')
        return store.delete(...args)
      },
    }
    expect(scrubber().counts.objects).toBe(0)
    const target = {
      prefix: 'a/',
      digestOf: (name: string) => ({ algorithm: 'sha256' as const, hex: name.slice(2) }),
    }
    const one = new Scrubber({ store: healing, targets: [target], now: () => 1_700_000_000_000, id: 'one' })
    await one.run(dayMs, never)
    expect(damages).toEqual([])
    expect(await store.head(key)).toBeDefined()
  })
})
