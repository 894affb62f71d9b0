import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { digestBytes, digestHex } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { runBlobStoreContract } from './blob-store.contract.ts'
import { temporaryStore } from './testing/temporary-store.ts'

const bytes = Buffer.from('good bytes')
const digest = digestBytes(bytes)

/** What may happen to a file at rest. */
const damages: readonly [string, (path: string) => void][] = [
  ['has a flipped bit', (path) => rewrite(path, Buffer.from('gooe bytes'))],
  ['is cut short', (path) => truncateSync(path, 3)],
  ['is empty', (path) => truncateSync(path, 0)],
  ['is longer', (path) => rewrite(path, Buffer.from('good bytes and more'))],
  ['is zeros', (path) => rewrite(path, Buffer.alloc(bytes.length))],
  ['is a directory', (path) => replace(path, () => mkdirSync(path))],
  ['is a symbolic link', (path) => replace(path, () => symlinkSync('/dev/zero', path))],
  ['is a FIFO', (path) => replace(path, () => execFileSync('mkfifo', [path]))],
  ['is missing', (path) => unlinkSync(path)],
]

function rewrite(path: string, content: Buffer): void {
  chmodSync(path, 0o600)
  writeFileSync(path, content)
}

function replace(path: string, make: () => void): void {
  unlinkSync(path)
  make()
}

describe('DirectoryBlobStore', () => {
  runBlobStoreContract(async () => (await temporaryStore()).blobs)

  it.each(damages)('read() refuses a blob that %s, and put() heals it', async (_, damage) => {
    const { blobs, root } = await temporaryStore()
    await blobs.put(bytes)
    damage(blobs.path(digest))
    await expect(blobs.read(digest)).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT', kind: 'environment' })
    const quarantined = readdirSync(join(root, 'v1', 'quarantine'))
    expect(quarantined.every((name) => name.startsWith(digestHex(digest)))).toBe(true)
    expect(lstatSync(blobs.path(digest), { throwIfNoEntry: false })).toBeUndefined()
    await blobs.put(bytes)
    expect(await blobs.read(digest)).toEqual(bytes)
  })

  it.each(damages)('stream() and verify() notice a blob that %s, and take it out', async (_, damage) => {
    const { blobs, root } = await temporaryStore()
    const descriptor = { digest, size: bytes.length }
    const judges = [
      () => expect(blobs.stream(descriptor).toArray()).rejects.toMatchObject({ code: 'ERR_STORE_CORRUPT' }),
      async () => expect(await blobs.verify(digest)).toBe(false),
    ]
    for (const judge of judges) {
      await blobs.put(bytes)
      damage(blobs.path(digest))
      await judge()
    }
    const quarantined = readdirSync(join(root, 'v1', 'quarantine'))
    expect(quarantined.every((name) => name.startsWith(digestHex(digest)))).toBe(true)
  })

  it('stream() gives the bytes of a whole blob, and verify() says so', async () => {
    const { blobs } = await temporaryStore()
    const large = Buffer.alloc(1_000_000, 'large')
    const { digest, size } = await blobs.put(large)
    expect(Buffer.concat(await blobs.stream({ digest, size }).toArray()).equals(large)).toBe(true)
    expect(await blobs.verify(digest)).toBe(true)
  })

  it.each(damages.filter(([name]) => /short|empty|longer|directory|link|FIFO/.test(name)))(
    'put() replaces a blob that %s without a read before',
    async (_, damage) => {
      const { blobs } = await temporaryStore()
      await blobs.put(bytes)
      damage(blobs.path(digest))
      await blobs.put(bytes, { digest, size: bytes.length })
      expect(await blobs.read(digest)).toEqual(bytes)
    },
  )

  it('put() makes blobs read-only, and keeps the first file of one', async () => {
    const { blobs } = await temporaryStore()
    await blobs.put(bytes)
    const first = statSync(blobs.path(digest))
    expect(first.mode & 0o777).toBe(0o444)
    const ingest = await blobs.ingest()
    writeFileSync(ingest.fd, bytes)
    await ingest.commit({ digest, size: bytes.length })
    expect(statSync(blobs.path(digest)).ino).toBe(first.ino)
  })

  it('put() says what failed when the blob directory is gone', async () => {
    const { blobs, root } = await temporaryStore()
    rmSync(join(root, 'v1', 'blobs'), { recursive: true })
    await expect(blobs.put(bytes)).rejects.toMatchObject({
      code: 'ERR_STORE_IO',
      details: { path: blobs.path(digest), errno: 'ENOENT' },
    })
  })

  it('the store is an OCI image layout', async () => {
    const { root } = await temporaryStore()
    expect(JSON.parse(readFileSync(join(root, 'v1', 'oci-layout'), 'utf8'))).toEqual({
      imageLayoutVersion: '1.0.0',
    })
    expect(JSON.parse(readFileSync(join(root, 'v1', 'index.json'), 'utf8'))).toMatchObject({
      schemaVersion: 2,
      manifests: [],
    })
  })
})
