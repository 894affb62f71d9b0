import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openStore } from './open-store.ts'
import { storeOptions, temporaryDirectory, temporaryStore } from './testing/temporary-store.ts'
import type { CacheMount, CacheMountRequest, Store } from './types.ts'

const request: CacheMountRequest = {
  scope: 'main',
  id: '/root/.cache',
  base: null,
  sharing: 'shared',
  make: async (directory, seed) => {
    mkdirSync(join(directory, 'fs'))
    if (seed !== undefined)
      writeFileSync(join(directory, 'fs', 'seed'), contentOf({ path: join(seed, 'fs') }))
  },
}

const mountsOf = (store: Store) => join(store.root, 'v1', 'mounts')
const contentOf = ({ path }: Pick<CacheMount, 'path'>) => {
  const files = readdirSync(path).toSorted()
  return files.map((name) => `${name}=${readFileSync(join(path, name), 'utf8')}`).join(' ')
}
const write = ({ path }: CacheMount, name: string, text = name) => writeFileSync(join(path, name), text)
const numberOf = ({ path }: CacheMount) => Number(basename(dirname(path)))

/** Opens, does something, and lets go. */
async function using<T>(
  store: Store,
  changes: Partial<CacheMountRequest>,
  body: (mount: CacheMount) => T | Promise<T>,
): Promise<T> {
  const mount = await store.cacheMounts.open({ ...request, ...changes })
  try {
    return await body(mount)
  } finally {
    await mount.release()
  }
}

describe('DirectoryCacheMountStore', () => {
  it('open() gives the same directory again, also to another opening of the store', async () => {
    const root = temporaryDirectory()
    const first = await openStore(storeOptions(root))
    await using(first, {}, (mount) => write(mount, 'a'))
    await first.close()
    const second = await openStore(storeOptions(root))
    expect(await using(second, {}, contentOf)).toBe('a=a')
    await second.close()
  })

  it('open() writes down whose it is, when it was made and when it was used', async () => {
    let now = 1_000
    const store = await temporaryStore({ now: () => now })
    const meta = ({ path }: CacheMount) => JSON.parse(readFileSync(join(dirname(path), 'meta.json'), 'utf8'))
    const known = {
      seal: expect.any(String),
      id: '/root/.cache',
      scope: 'main',
      base: null,
      createdMs: 1_000,
    }
    expect(await using(store, {}, meta)).toEqual({ ...known, usedMs: 1_000 })
    now = 2_000
    expect(await using(store, {}, meta)).toEqual({ ...known, usedMs: 2_000 })
    const path = await using(store, {}, (mount) => join(dirname(mount.path), 'meta.json'))
    writeFileSync(path, '{"createdMs":')
    expect(await using(store, {}, meta)).toEqual({ ...known, createdMs: 2_000, usedMs: 2_000 })
  })

  const differentIds = [
    '/root/.cache',
    '../x',
    '/etc',
    'a/../../b',
    'b',
    '.',
    '..',
    '',
    'nul\0byte',
    'x'.repeat(5_000),
    'x'.repeat(5_001),
    'caf\u00e9',
    'cafe\u0301',
    '\ud800',
    '\ud801',
    '0/fs',
  ]

  it('open() hashes ids: distinct ids never collide, and no path is made from an id', async () => {
    const above = temporaryDirectory()
    const store = await openStore(storeOptions(join(above, 'store')))
    for (const id of differentIds) await using(store, { id }, (mount) => write(mount, 'id', id))
    for (const id of differentIds) expect(await using(store, { id }, contentOf)).toBe(`id=${Buffer.from(id)}`)
    const names = readdirSync(mountsOf(store))
    expect(names).toHaveLength(differentIds.length)
    expect(names.filter((name) => !/^[0-9a-f]{64}$/.test(name))).toEqual([])
    expect(readdirSync(above)).toEqual(['store'])
    await store.close()
  })

  it('open() keeps scopes and bases apart', async () => {
    const store = await temporaryStore()
    const others: Partial<CacheMountRequest>[] = [
      {},
      { base: { mode: 0o700 } },
      { base: { layers: ['a'], source: '/' } },
      { base: { layers: ['a'], source: '/b' } },
      { scope: 'pr/7', base: 1 },
      { scope: 'pr/8', base: 1 },
    ]
    for (const [index, other] of others.entries())
      await using(store, other, (mount) => write(mount, `${index}`))
    for (const [index, other] of others.entries())
      expect(await using(store, other, contentOf)).toBe(`${index}=${index}`)
  })

  it('open() makes a whole directory or none: one that fails leaves nothing', async () => {
    const store = await temporaryStore()
    const drafts: string[] = []
    const make: CacheMountRequest['make'] = async (directory) => {
      drafts.push(directory)
      mkdirSync(join(directory, 'fs'))
      expect(readdirSync(mountsOf(store))).toEqual([])
      throw new Error('no room')
    }
    await expect(store.cacheMounts.open({ ...request, make })).rejects.toThrow('no room')
    expect([readdirSync(mountsOf(store)), drafts.filter((path) => existsSync(path))]).toEqual([[], []])
    expect(await using(store, { sharing: 'locked' }, contentOf)).toBe('')
  })

  it('open() keeps what is made to its owner, under any name', async () => {
    const store = await temporaryStore()
    const directory = await using(store, {}, ({ path }) => dirname(path))
    expect([directory, dirname(directory)].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700])
  })
})

describe('the sharing of a cache mount', () => {
  it('open() shared gives one directory to all that share it', async () => {
    const store = await temporaryStore()
    const [first, second] = [await store.cacheMounts.open(request), await store.cacheMounts.open(request)]
    expect(second.path).toBe(first.path)
    await Promise.all([first.release(), second.release()])
  })

  it('open() private takes the first free directory, else a new one', async () => {
    const store = await temporaryStore()
    const one: CacheMountRequest = { ...request, sharing: 'private' }
    const mounts = [
      await store.cacheMounts.open(one),
      await store.cacheMounts.open(one),
      await store.cacheMounts.open(one),
    ]
    expect(mounts.map(numberOf)).toEqual([0, 1, 2])
    await mounts[1]?.release()
    const again = await store.cacheMounts.open(one)
    expect(numberOf(again)).toBe(1)
    await Promise.all([mounts[0], mounts[2], again].map((mount) => mount?.release()))
  })

  it('open() shared takes another directory where the first is in private use', async () => {
    const store = await temporaryStore()
    const alone = await store.cacheMounts.open({ ...request, sharing: 'private' })
    expect(await using(store, {}, numberOf)).toBe(1)
    await alone.release()
    expect(await using(store, {}, numberOf)).toBe(0)
  })

  it('open() locked waits for everybody, says so once, and gets the same directory', async () => {
    const store = await temporaryStore()
    for (const sharing of ['shared', 'private', 'locked'] as const) {
      const holder = await store.cacheMounts.open({ ...request, sharing })
      let isHeld = true
      let release = () => {}
      const noticed = new Promise<void>((resolve) => (release = resolve))
      const waiting = store.cacheMounts
        .open({ ...request, sharing: 'locked' }, { onWait: release, waitNoticeMs: 20 })
        .then((mount) => {
          expect(isHeld).toBe(false)
          return mount
        })
      await noticed
      isHeld = false
      await holder.release()
      const mount = await waiting
      expect(mount.path).toBe(holder.path)
      await mount.release()
    }
  })

  it('open() locked can be cancelled while it waits', async () => {
    const store = await temporaryStore()
    const holder = await store.cacheMounts.open({ ...request, sharing: 'locked' })
    const abort = new AbortController()
    const waiting = store.cacheMounts.open(
      { ...request, sharing: 'locked' },
      { signal: abort.signal, onWait: () => abort.abort(), waitNoticeMs: 20 },
    )
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    await holder.release()
    await using(store, { sharing: 'locked' }, (mount) => expect(mount.path).toBe(holder.path))
  })

  it('open() of eight at once makes one directory where it is shared, eight where it is private', async () => {
    const store = await temporaryStore()
    for (const [sharing, expected] of [
      ['shared', 1],
      ['private', 8],
    ] as const) {
      const opened = await Promise.all(
        Array.from({ length: 8 }, () => store.cacheMounts.open({ ...request, id: sharing, sharing })),
      )
      expect(new Set(opened.map(({ path }) => path)).size).toBe(expected)
      await Promise.all(opened.map((mount) => mount.release()))
    }
  })
})

describe('a fresh cache mount', () => {
  it('open() fresh begins with a new directory and deletes the old one', async () => {
    const store = await temporaryStore()
    await using(store, {}, (mount) => write(mount, 'old'))
    expect(await using(store, { fresh: true }, contentOf)).toBe('')
    expect(await using(store, {}, contentOf)).toBe('')
    expect(
      readdirSync(mountsOf(store)).flatMap((name) => readdirSync(join(mountsOf(store), name))),
    ).toHaveLength(1)
  })

  it('open() fresh leaves the old directory to those who use it, and the last of them deletes it', async () => {
    const store = await temporaryStore()
    const [one, two] = [await store.cacheMounts.open(request), await store.cacheMounts.open(request)]
    write(one, 'old')
    const fresh = await store.cacheMounts.open({ ...request, fresh: true })
    expect([contentOf(fresh), contentOf(two)]).toEqual(['', 'old=old'])
    await one.release()
    expect(existsSync(two.path)).toBe(true)
    await two.release()
    expect(existsSync(dirname(two.path))).toBe(false)
    write(fresh, 'new')
    await fresh.release()
    expect(await using(store, {}, contentOf)).toBe('new=new')
  })

  it('open() locked that waited for a directory which was given up gets the new one', async () => {
    const store = await temporaryStore()
    const old = await store.cacheMounts.open({ ...request, sharing: 'locked' })
    let begin = () => {}
    const noticed = new Promise<void>((resolve) => (begin = resolve))
    const waiting = store.cacheMounts.open(
      { ...request, sharing: 'locked' },
      { onWait: begin, waitNoticeMs: 20 },
    )
    await noticed
    const fresh = await store.cacheMounts.open({ ...request, sharing: 'locked', fresh: true })
    write(fresh, 'fresh')
    await Promise.all([old.release(), fresh.release()])
    const had = await waiting
    expect([contentOf(had), had.path]).toEqual(['fresh=fresh', fresh.path])
    await had.release()
  })

  it('open() deletes what a process that died was about to delete', async () => {
    const store = await temporaryStore()
    const directory = await using(store, {}, ({ path }) => dirname(path))
    writeFileSync(join(directory, 'retired'), '')
    expect(await using(store, {}, contentOf)).toBe('')
    expect(existsSync(join(directory, 'retired'))).toBe(false)
  })
})

describe('the trust scope of a cache mount', () => {
  it('open() of another scope begins with a copy of what main has, and never writes to it', async () => {
    const store = await temporaryStore()
    await using(store, {}, (mount) => write(mount, 'lodash', 'good'))
    await using(store, { scope: 'pr/7' }, (mount) => {
      expect(contentOf(mount)).toBe('seed=lodash=good')
      write(mount, 'lodash', 'evil')
    })
    expect(await using(store, {}, contentOf)).toBe('lodash=good')
    expect(await using(store, { scope: 'pr/8' }, contentOf)).toBe('seed=lodash=good')
    expect(await using(store, { scope: 'pr/7' }, contentOf)).toBe('lodash=evil seed=lodash=good')
  })

  it('open() of another scope begins with nothing where main has nothing, and main does not get it', async () => {
    const store = await temporaryStore()
    await using(store, { scope: 'pr/7' }, (mount) => write(mount, 'evil'))
    expect(await using(store, {}, contentOf)).toBe('')
    expect(await using(store, { scope: 'pr/7', fresh: true }, contentOf)).toBe('')
  })

  it('open() of another scope takes its copy while nobody uses that of main', async () => {
    const store = await temporaryStore()
    const main = await store.cacheMounts.open(request)
    let noticed = () => {}
    const waits = new Promise<void>((resolve) => (noticed = resolve))
    const make: CacheMountRequest['make'] = async (directory, seed) => {
      const locked = store.cacheMounts.open({ ...request, sharing: 'private' })
      expect(numberOf(await locked)).toBe(1)
      await (await locked).release()
      await request.make(directory, seed)
    }
    const copying = store.cacheMounts.open(
      { ...request, scope: 'pr/7', make },
      { onWait: noticed, waitNoticeMs: 20 },
    )
    await waits
    write(main, 'last')
    await main.release()
    const copy = await copying
    expect(contentOf(copy)).toBe('seed=last=last')
    await copy.release()
    await using(store, { sharing: 'private' }, (mount) => expect(numberOf(mount)).toBe(0))
  })
})

describe('a damaged cache mount store', () => {
  it('open() does not follow what is no directory of its own', async () => {
    const store = await temporaryStore()
    const directory = await using(store, {}, ({ path }) => dirname(path))
    const ofName = dirname(directory)
    for (const name of ['00', '-1', '1e3', 'x', '9999999999']) mkdirSync(join(ofName, name))
    expect(await using(store, {}, numberOf)).toBe(0)
    rmSync(directory, { recursive: true })
    expect(await using(store, {}, numberOf)).toBe(0)
  })

  it('open() makes the directories of a store that is older than they are', async () => {
    const store = await temporaryStore()
    rmSync(mountsOf(store), { recursive: true })
    expect(await using(store, {}, contentOf)).toBe('')
  })
})
