import { createHash } from 'node:crypto'
import type { ObjectStore, OpenObjectStore } from '@tsbuild/object-store'
import { memoryStore } from '@tsbuild/object-store/testing'
import { describe, expect, it } from 'vitest'
import { Collector } from './collector.ts'
import type { Keeper, SpaceLimits } from './types.ts'

const graceMs = 1000
const promiseMs = 250
const never = new AbortController().signal

/** Numbers in [0, 1) that depend on nothing but the seed. */
function randomNumbers(seed: number): () => number {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state = (state ^ (state << 5)) >>> 0
    return state / 2 ** 32
  }
}

/**
 * A cache in small, as the server has it: `records/<name>` lists blobs, `links/<blob>` says that a blob may be read, and
 * `content/<blob>` has its bytes.
 */
function smallCache(store: ObjectStore, now: () => number) {
  const bytesOf = (blob: string) => Buffer.alloc(100 + blob.length, blob)
  const put = (key: string, bytes: Buffer) => {
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    return store.putIfAbsent(key, bytes, { sha256, size: bytes.length })
  }
  const hasBlob = async (blob: string) => {
    const fresh = { touchBefore: now() - promiseMs }
    return (
      (await store.head(`links/${blob}`, fresh)) !== undefined &&
      (await store.head(`content/${blob}`)) !== undefined
    )
  }
  return {
    hasBlob,
    upload: async (blob: string) => {
      await put(`content/${blob}`, bytesOf(blob))
      await put(`links/${blob}`, Buffer.from(blob))
    },
    mount: async (blob: string) => {
      const fresh = { touchBefore: now() - promiseMs }
      if ((await store.head(`content/${blob}`, fresh)) === undefined) return false
      await put(`links/${blob}`, Buffer.from(blob))
      return true
    },
    record: async (name: string, blobs: readonly string[]) => {
      for (const blob of blobs) if (!(await hasBlob(blob))) return false
      await put(`records/${name}`, Buffer.from(blobs.join()))
      return true
    },
  }
}

/** What the small cache's collector is told. */
function keeperOf(store: ObjectStore, forMs: number | undefined, used = new Map<string, number>()): Keeper {
  return {
    name: 'small',
    async *holders(signal) {
      for await (const { key, version, modifiedMs } of store.list('records/', { signal })) {
        const body = await store.get(key)
        let text = ''
        for await (const chunk of body?.stream ?? []) text += chunk
        const holds = text.split(',').map((blob) => `links/${blob}`)
        const usedMs = Math.max(used.get(key) ?? 0, modifiedMs)
        yield { key, version, modifiedMs, usedMs, holds, retention: { kind: 'cached', forMs } }
      }
    },
    evict: async (holders, notAfterMs) => {
      const gone: string[] = []
      for (const { key, version } of holders)
        if (await store.delete(key, { version, notAfterMs })) gone.push(key)
      return gone
    },
    sweeps: [
      { prefix: 'links/', held: (key) => [`content/${key.slice('links/'.length)}`] },
      { prefix: 'content/', held: () => [] },
    ],
  }
}

/** A store before each call of which something else happens. */
function interrupted(store: OpenObjectStore, between: () => Promise<void>): ObjectStore {
  const after =
    <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
    async (...args: Args) => {
      await between()
      return call(...args)
    }
  return {
    kind: store.kind,
    exclusion: store.exclusion,
    putIfAbsent: after(store.putIfAbsent.bind(store)),
    get: after(store.get.bind(store)),
    head: after(store.head.bind(store)),
    delete: after(store.delete.bind(store)),
    cas: after(store.cas.bind(store)),
    async *list(...args) {
      for await (const info of store.list(...args)) {
        await between()
        yield info
      }
    },
  }
}

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list(prefix)) keys.push(key)
  return keys
}

interface World {
  readonly store: OpenObjectStore
  readonly cache: ReturnType<typeof smallCache>
  readonly collector: (space?: SpaceLimits, forMs?: number) => Collector
  readonly advance: (ms: number) => void
  readonly used: Map<string, number>
  readonly now: () => number
}

function openWorld(between: () => Promise<void> = async () => {}): World {
  let nowMs = 1_700_000_000_000
  const now = () => nowMs
  const store = memoryStore({ now })
  const used = new Map<string, number>()
  return {
    store,
    used,
    now,
    cache: smallCache(store, now),
    collector: (space, forMs) => {
      const seen = interrupted(store, between)
      return new Collector({
        store: seen,
        keepers: [keeperOf(seen, forMs, used)],
        graceMs,
        promiseMs,
        space: () => space,
        now,
        id: 'one',
      })
    },
    advance: (ms) => {
      nowMs += ms
    },
  }
}

describe('Collector', () => {
  it('run() sweeps what nobody holds once it is older than the grace, and keeps what is held', async () => {
    const { store, cache, collector, advance } = openWorld()
    for (const blob of ['a', 'b', 'c']) await cache.upload(blob)
    await cache.record('r', ['a', 'b'])
    advance(graceMs)
    expect(await collector().run(never)).toMatchObject({ hadTurn: true, swept: 0 })
    advance(graceMs)
    expect(await collector().run(never)).toMatchObject({ swept: 2, spared: 0, evicted: 0 })
    expect(await keysOf(store, 'content/')).toEqual(['content/a', 'content/b'])
    expect(await keysOf(store, 'links/')).toEqual(['links/a', 'links/b'])
  })

  it('run() lets go what was not used for long, and then what that held', async () => {
    const { store, cache, collector, advance, used, now } = openWorld()
    for (const [record, blob] of [
      ['old', 'a'],
      ['used', 'b'],
    ] as const) {
      await cache.upload(blob)
      await cache.record(record, [blob])
    }
    advance(10 * graceMs)
    used.set('records/used', now() - 2 * graceMs)
    expect(await collector(undefined, 5 * graceMs).run(never)).toMatchObject({ expired: 1, swept: 2 })
    expect(await keysOf(store, '')).toEqual(['content/b', 'gc/v1/turn', 'links/b', 'records/used'])
  })

  it('run() makes room down to the low watermark: what was used longest ago goes, and shared blobs stay', async () => {
    const { store, cache, collector, advance, used, now } = openWorld()
    for (const blob of ['a', 'b', 'c', 'd', 'shared']) await cache.upload(blob)
    for (const name of ['a', 'b', 'c', 'd']) {
      await cache.record(name, [name, 'shared'])
      advance(10)
    }
    advance(10 * graceMs)
    used.set('records/a', now() - 2 * graceMs)
    const { bytes } = await collector().run(never)
    const low = bytes - 150
    const space = { maxBytes: bytes, highBytes: bytes - 1, lowBytes: low }
    expect(await collector(space).run(never)).toMatchObject({ evicted: 2, swept: 4 })
    expect(await keysOf(store, 'records/')).toEqual(['records/a', 'records/d'])
    expect(await keysOf(store, 'content/')).toEqual(['content/a', 'content/d', 'content/shared'])
    expect((await collector(space).run(never)).bytes).toBeLessThanOrEqual(low)
  })

  it('run() evicts nothing that was used within the grace, however full it is', async () => {
    const { cache, collector, advance } = openWorld()
    await cache.upload('a')
    await cache.record('r', ['a'])
    advance(graceMs)
    const space = { maxBytes: 10, highBytes: 9, lowBytes: 0 }
    expect(await collector(space).run(never)).toMatchObject({ evicted: 0, swept: 0 })
  })

  it('run() leaves it to the process whose turn it is, until that is silent for long', async () => {
    const { store, collector, advance, now } = openWorld()
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const slow = interrupted(store, () => held)
    await store.cas(
      'gc/v1/turn',
      null,
      Buffer.from(JSON.stringify({ v: 1, holder: 'other', untilMs: now() + 60_000 })),
    )
    expect(await collector().run(never)).toMatchObject({ hadTurn: false })
    advance(60_001)
    expect(await collector().run(never)).toMatchObject({ hadTurn: true })
    release()
    await slow.head('x')
  })

  it('run() touches nothing where the machine started within the grace', async () => {
    const { store, cache, advance, now } = openWorld()
    await cache.upload('a')
    advance(10 * graceMs)
    const options = { store, keepers: [keeperOf(store, undefined)], graceMs, promiseMs, now, id: 'one' }
    const bootedMs = now() - graceMs
    expect(await new Collector({ ...options, bootedMs }).run(never)).toMatchObject({ swept: 0 })
    advance(graceMs)
    expect(await new Collector({ ...options, bootedMs }).run(never)).toMatchObject({ swept: 2 })
  })

  it('run() loses nothing that was handed out, in 10,000 random sequences of clients around it', async () => {
    for (let seed = 1; seed <= 10_000; seed += 1) await sequence(seed)
  }, 120_000)
})

/** Clients do random things before each call of the collector; what they were promised is there until the promise ends. */
async function sequence(seed: number): Promise<void> {
  const random = randomNumbers(seed)
  const names = ['a', 'b', 'c', 'd']
  const pick = () => names[Math.floor(random() * names.length)] ?? 'a'
  /** Until when a blob was promised, unix ms. */
  const promised = new Map<string, number>()
  let busy = true
  const world = openWorld(async () => {
    if (busy && random() < 0.3) await act()
  })
  const { cache, store, advance, now, used } = world
  const promise = (blob: string) => promised.set(blob, now() + graceMs)
  const act = async () => {
    const blob = pick()
    const what = random()
    if (what < 0.25) {
      await cache.upload(blob)
      promise(blob)
    } else if (what < 0.45) {
      if (await cache.hasBlob(blob)) promise(blob)
    } else if (what < 0.6) {
      if (await cache.mount(blob)) promise(blob)
    } else if (what < 0.75) {
      const blobs = [...new Set([blob, pick()])]
      if (await cache.record(pick(), blobs)) for (const one of blobs) promise(one)
    } else if (what < 0.85) used.set(`records/${pick()}`, now())
    else advance(random() * graceMs)
    await check()
  }
  const check = async () => {
    for (const [blob, untilMs] of promised) {
      if (now() > untilMs) continue
      const isThere =
        (await store.head(`links/${blob}`)) !== undefined &&
        (await store.head(`content/${blob}`)) !== undefined
      if (!isThere)
        expect.fail(`seed ${seed}: blob ${blob} is gone, and was promised for ${untilMs - now()} ms more`)
    }
  }
  const space = random() < 0.5 ? undefined : { maxBytes: 400, highBytes: 300, lowBytes: 150 }
  const forMs = random() < 0.5 ? undefined : 4 * graceMs
  for (let round = 0; round < 3; round += 1) {
    for (let step = 0; step < 4; step += 1) await act()
    await world.collector(space, forMs).run(never)
    await check()
  }
  busy = false
  await settles(seed, world)
}

/** When nobody does anything any more, exactly what is held stays. */
async function settles(seed: number, { store, advance, collector }: World): Promise<void> {
  advance(3 * graceMs)
  await collector().run(never)
  const held = new Set<string>()
  for (const key of await keysOf(store, 'records/')) {
    const body = await store.get(key)
    for await (const chunk of body?.stream ?? []) for (const blob of String(chunk).split(',')) held.add(blob)
  }
  const links = (await keysOf(store, 'links/')).map((key) => key.slice('links/'.length))
  const contents = (await keysOf(store, 'content/')).map((key) => key.slice('content/'.length))
  expect(contents, `seed ${seed}`).toEqual(links)
  for (const blob of links) expect(held.has(blob), `seed ${seed}: ${blob} is held by nobody`).toBe(true)
}
