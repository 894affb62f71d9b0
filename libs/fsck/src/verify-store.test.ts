import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Digest, digestBytes, digestHex } from '@tsbuild/digest'
import { openStore, type Store } from '@tsbuild/store'
import { storeOptions, temporaryDirectory, temporaryStore } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import { removeAt } from './mend.ts'
import type { VerifyOptions } from './types.ts'
import { verifyStore } from './verify-store.ts'

/** Stands in for the helper: the digest of a tree is that of its file `data`. */
const native: VerifyOptions['native'] = {
  content: async (trees) => trees.map((tree) => digestBytes(readFileSync(join(tree, 'data')))),
  diff: () => Promise.reject(new Error('no layer is asked for')),
}

function verify(root: string, changes: Partial<VerifyOptions> = {}) {
  return verifyStore({
    root,
    repair: false,
    open: () => openStore(storeOptions(root)),
    native,
    uid: process.getuid?.() ?? 0,
    now: () => 1_700_000_000_000,
    signal: new AbortController().signal,
    ...changes,
  })
}

const key = (name: string) => digestBytes(name)

/** A snapshot with one file, and a record that names it. */
async function commit(store: Store, name: string): Promise<string> {
  const draft = await store.snapshots.draft()
  writeFileSync(join(draft.upper, 'data'), name)
  const text = JSON.stringify({ format: 1, snapshot: draft.id, diffId: digestBytes(name) })
  await draft.commit([{ keys: [key(name)], text }], { content: digestBytes(name) })
  return draft.id
}

const recordPath = (root: string, of: Digest) =>
  join(root, 'v1/records', digestHex(of).slice(0, 2), `${digestHex(of)}.json`)

/** Every path below a directory with what a write would change. */
const listing = (root: string) =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((path) => {
      const { ino, size, mtimeMs, ctimeMs, mode } = statSync(join(root, path))
      return [path, ino, size, mtimeMs, ctimeMs, mode]
    })

describe('verifyStore()', () => {
  it('finds nothing in a store that builds use, and writes nothing', async () => {
    const store = await temporaryStore()
    await commit(store, 'a')
    await store.blobs.put(Buffer.from('blob'))
    // Under way: a draft, a source, a blob.
    const draft = await store.snapshots.draft()
    const source = await store.sources.draft()
    const ingest = await store.blobs.ingest()
    const before = listing(store.root)
    expect(await verify(store.root)).toMatchObject({
      sound: true,
      findings: [],
      checked: { blobs: 1, blobBytes: 4, snapshots: 1, withoutDigest: 0, records: 1 },
    })
    expect(listing(store.root)).toEqual(before)
    await Promise.all([draft.release(), source.release(), ingest.abort()])
  })

  it('--repair takes away what a dead process left, and nothing of a living one', async () => {
    const living = await temporaryStore()
    const draft = await living.snapshots.draft()
    const { root } = living
    const dead = 'd'.repeat(32)
    mkdirSync(join(root, 'v1/ingest', dead))
    writeFileSync(join(root, 'v1/ingest', dead, 'half a blob'), '')
    mkdirSync(join(root, 'v1/snapshots', dead, 'fs'), { recursive: true })
    const first = await verify(root)
    expect(first).toMatchObject({ sound: true })
    expect(first.findings.map(({ kind, severity, path }) => [kind, severity, path])).toEqual([
      ['leftover', 'notice', join(root, 'v1/ingest', dead)],
      ['leftover', 'notice', join(root, 'v1/snapshots', dead)],
    ])
    await verify(root, { repair: true })
    expect((await verify(root)).findings).toEqual([])
    expect(existsSync(draft.upper)).toBe(true)
    await draft.release()
  })

  it('removes a damaged snapshot with the records that name it, and keeps the others', async () => {
    const store = await temporaryStore()
    const { root } = store
    const bad = await commit(store, 'bad')
    const good = await commit(store, 'good')
    await store.close()
    writeFileSync(join(root, 'v1/snapshots', bad, 'fs/data'), 'BAD')
    const first = await verify(root)
    expect(first.sound).toBe(false)
    expect(first.findings).toMatchObject([
      { kind: 'snapshot', problem: 'its files are not those that were committed', loses: 'work' },
      { kind: 'record', path: recordPath(root, key('bad')), problem: expect.stringContaining('damaged') },
    ])
    const repaired = await verify(root, { repair: true })
    expect(repaired).toMatchObject({
      sound: true,
      findings: [{ outcome: 'repaired' }, { outcome: 'repaired' }],
    })
    expect((await verify(root)).findings).toEqual([])
    expect(readdirSync(join(root, 'v1/snapshots'))).toEqual([good])
    expect(existsSync(recordPath(root, key('good')))).toBe(true)
    expect(existsSync(recordPath(root, key('bad')))).toBe(false)
  })

  it('leaves a damaged snapshot that a build uses, says so, and mends it later', async () => {
    const store = await temporaryStore()
    const id = await commit(store, 'used')
    writeFileSync(join(store.root, 'v1/snapshots', id, 'fs/data'), 'x')
    const used = await verify(store.root, { repair: true })
    expect(used).toMatchObject({
      sound: false,
      findings: [
        { kind: 'snapshot', outcome: 'in-use' },
        { kind: 'record', outcome: 'repaired' },
      ],
    })
    await store.close()
    expect(await verify(store.root, { repair: true })).toMatchObject({ sound: true })
    expect(readdirSync(join(store.root, 'v1/snapshots'))).toEqual([])
  })

  it('finds a record under the name of another, with a seal or without', async () => {
    const store = await temporaryStore()
    const { root } = store
    await commit(store, 'a')
    const step = {
      format: 1,
      outputKey: key('o'),
      name: 'RUN',
      op: { kind: 'exec' },
      inputs: [],
      createdAt: 1,
      durationMs: 1,
    }
    const { id } = await store.snapshots.draft().then(async (draft) => {
      writeFileSync(join(draft.upper, 'data'), 'b')
      await draft.commit([], { content: digestBytes('b') })
      return draft
    })
    const [copied, old] = [recordPath(root, key('other')), recordPath(root, key('old'))]
    for (const path of [copied, old]) mkdirSync(join(path, '..'), { recursive: true })
    copyFileSync(recordPath(root, key('a')), copied)
    writeFileSync(old, JSON.stringify({ ...step, stored: { snapshot: id } }))
    const { findings } = await verify(root)
    expect(findings.map(({ path, problem }) => [path, problem]).toSorted()).toEqual(
      [
        [copied, 'its seal does not fit its bytes and its name'],
        [old, 'it is the record of another key'],
      ].toSorted(),
    )
  })

  it('takes what a power cut may leave for no damage', async () => {
    const store = await temporaryStore()
    const { root } = store
    const lost = await commit(store, 'lost')
    await store.close()
    rmSync(join(root, 'v1/snapshots', lost), { recursive: true })
    mkdirSync(join(root, 'v1/builds', 'a'.repeat(24)))
    const report = await verify(root)
    expect(report).toMatchObject({
      sound: true,
      findings: [
        { kind: 'record', severity: 'notice', problem: `it names snapshot ${lost}, which is missing` },
        { kind: 'leftover', severity: 'notice' },
      ],
    })
    await verify(root, { repair: true })
    expect((await verify(root)).findings).toEqual([])
  })

  it('leaves records of another version alone', async () => {
    const store = await temporaryStore()
    await store.records.put([{ keys: [key('new')], text: '{"format":7,"anything":[]}' }])
    expect(await verify(store.root, { repair: true })).toMatchObject({
      findings: [],
      checked: { foreignRecords: 1 },
    })
    expect(existsSync(recordPath(store.root, key('new')))).toBe(true)
  })

  it('takes the record of a layer in another compression for whole, and a damaged one for none', async () => {
    const { root, records, close } = await temporaryStore()
    const layer = { mediaType: 'm', digest: key('blob'), size: 3, diffId: key('tar') }
    const record = (of: unknown) => JSON.stringify({ format: 1, converted: key('layer'), layer: of })
    await records.put([
      { keys: [key('whole')], text: record(layer) },
      { keys: [key('torn')], text: record({ ...layer, size: -1 }) },
    ])
    await close()
    expect((await verify(root)).findings).toMatchObject([
      { kind: 'record', path: recordPath(root, key('torn')), problem: 'it is no whole record' },
    ])
  })

  it('takes the record of a step that a cache elsewhere has for whole, and a damaged one for none', async () => {
    const { root, records, close } = await temporaryStore()
    const blob = { mediaType: 'm', digest: key('blob'), size: 3, diffId: key('tar') }
    const made = {
      outputKey: key('out'),
      name: 'RUN x',
      op: { kind: 'x' },
      inputs: [],
      createdAt: 1,
      durationMs: 1,
    }
    const record = (of: unknown) =>
      JSON.stringify({ format: 1, ...made, stored: { cached: { blobs: [of], places: [], createdAt: 1 } } })
    await records.put([
      { keys: [key('whole')], text: record(blob) },
      { keys: [key('torn')], text: record({ ...blob, size: -1 }) },
    ])
    await close()
    expect((await verify(root)).findings).toMatchObject([
      { kind: 'record', path: recordPath(root, key('torn')), problem: 'it is no whole record' },
    ])
  })

  it('names what is not of tsbuild, and who can look into the store', async () => {
    const { root } = await temporaryStore()
    writeFileSync(join(root, 'notes.txt'), '')
    writeFileSync(join(root, 'v1/records/notes.txt'), '')
    chmodSync(root, 0o755)
    const { findings, sound } = await verify(root)
    expect(findings.map(({ kind, path }) => [kind, path])).toEqual([
      ['layout', root],
      ['foreign', join(root, 'notes.txt')],
      ['foreign', join(root, 'v1/records/notes.txt')],
    ])
    expect(sound).toBe(false)
    expect(await verify(root, { repair: true })).toMatchObject({ sound: true })
    expect(statSync(root).mode & 0o777).toBe(0o700)
    expect(existsSync(join(root, 'notes.txt'))).toBe(true)
  })

  it('refuses what is no store, and one of another layout', async () => {
    const root = temporaryDirectory()
    await expect(verify(root)).rejects.toMatchObject({ code: 'ERR_STORE_OPEN', kind: 'environment' })
    mkdirSync(join(root, 'v1'))
    mkdirSync(join(root, 'v2'))
    writeFileSync(join(root, 'version'), '2\n')
    await expect(verify(root, { repair: true })).rejects.toMatchObject({ code: 'ERR_STORE_FORMAT' })
    expect(readFileSync(join(root, 'version'), 'utf8')).toBe('2\n')
  })

  it('takes a store that is being made, or whose making was killed, for no damage', async () => {
    const store = await temporaryStore()
    rmSync(join(store.root, 'version'))
    rmSync(join(store.root, 'v1/oci-layout'))
    const { sound, findings } = await verify(store.root)
    expect(sound).toBe(true)
    expect(findings).toMatchObject([{ severity: 'notice', path: join(store.root, 'version') }])
    await commit(store, 'a')
    expect(await verify(store.root)).toMatchObject({ sound: false })
  })

  it('stops when it is told to', async () => {
    const store = await temporaryStore()
    await store.blobs.put(Buffer.from('blob'))
    const reason = new Error('stop')
    await expect(verify(store.root, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe('removeAt()', () => {
  it('gives a file back that took the place of the damaged one', async () => {
    const store = await temporaryStore()
    const path = recordPath(store.root, key('a'))
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, 'damaged')
    const seen = statSync(path)
    writeFileSync(`${path}.new`, 'good')
    renameSync(`${path}.new`, path)
    await removeAt(path, seen)(store)
    expect(readFileSync(path, 'utf8')).toBe('good')
    await removeAt(path, statSync(path))(store)
    expect(existsSync(path)).toBe(false)
  })
})

describe('the history of a build that was killed', () => {
  const ref = '0123456789abcdef01234567'
  const damagesOf = async (files: Readonly<Record<string, string>>) => {
    const store = await temporaryStore()
    const directory = join(store.root, 'v1/builds', ref)
    mkdirSync(directory, { recursive: true })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
    await store.close()
    const { findings } = await verify(store.root)
    return findings.filter(({ severity }) => severity === 'damage').map(({ problem }) => problem)
  }

  it.each([
    ['before it had a journal', {}],
    ['before it wrote to its journal', { journal: '' }],
    ['in the first line of its journal', { journal: '{"format":1,"re' }],
    ['later', { journal: `{"format":1,"ref":"${ref}"}\n{"type":"ver` }],
  ])('is no damage when it died %s', async (_, files) => {
    expect(await damagesOf(files)).toEqual([])
  })

  it.each([
    ["another build's journal", { journal: '{"format":1,"ref":"f"}\n' }],
    ['explanations without a record or a journal', { explain: '' }],
  ])('is damaged with %s', async (_, files) => {
    expect(await damagesOf(files)).toHaveLength(1)
  })
})
