import { createHash } from 'node:crypto'
import { constants, linkSync, lstatSync, renameSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Digest, digestBytes, digestFromHex, digestHex, verifyingStream } from '@tsbuild/digest'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import { type Disk, removeFile } from './disk.ts'
import { errnoOf, onDisk, onDiskSync, unlessErrnoSync } from './fs-failure.ts'
import type { Layout } from './layout.ts'
import { readVerified } from './read-verified.ts'
import type { Session } from './session.ts'
import type { BlobStore, Ingest, StoreOptions } from './types.ts'
import type { Uses } from './uses.ts'

const defaultMaxBytes = 8 * 1024 * 1024

type Expected = { readonly digest: Digest; readonly size?: number | undefined }
type Stored = { readonly digest: Digest; readonly size: number; readonly synced?: boolean | undefined }

/** What the blob store works with. */
export interface BlobStoreParts {
  readonly layout: Layout
  readonly disk: Disk
  readonly session: Session
  readonly uses: Uses
  readonly randomId: StoreOptions['randomId']
}

/** {@link BlobStore} in the `blobs/sha256` of an OCI image layout. */
export class DirectoryBlobStore implements BlobStore {
  readonly #layout: Layout
  readonly #disk: Disk
  readonly #session: Session
  readonly #uses: Uses
  readonly #randomId: StoreOptions['randomId']

  constructor({ layout, disk, session, uses, randomId }: BlobStoreParts) {
    this.#layout = layout
    this.#disk = disk
    this.#session = session
    this.#uses = uses
    this.#randomId = randomId
  }

  path(digest: Digest): string {
    return this.#layout.blob(digest)
  }

  async size(digest: Digest): Promise<number | undefined> {
    await this.#uses.holdSurely(digestHex(digest))
    return this.#sizeOf(digest)
  }

  async read(digest: Digest, maxBytes: number = defaultMaxBytes): Promise<Buffer> {
    // A prune that looks whether it may delete it is waited for: what it leaves alone is not damaged.
    await this.#uses.holdSurely(digestHex(digest))
    const bytes = await this.#readBytes(digest, maxBytes)
    if (bytes !== undefined && digestBytes(bytes) === digest) return bytes
    throw this.#quarantine(digest)
  }

  stream(descriptor: { readonly digest: Digest; readonly size: number }): Readable {
    const { digest } = descriptor
    // Held from now on, also where it is read later.
    this.#sizeOf(digest)
    return Readable.from(
      readVerified(this.#layout.blob(digest), descriptor, () => this.#quarantine(digest)),
      { objectMode: false },
    )
  }

  async verify(digest: Digest): Promise<boolean> {
    await this.#uses.holdSurely(digestHex(digest))
    if (this.#sizeOf(digest) === undefined) return false
    let isWhole = true
    const damaged = () => {
      isWhole = false
      return this.#quarantine(digest)
    }
    try {
      for await (const _ of readVerified(this.#layout.blob(digest), { digest }, damaged));
      return true
    } catch (error) {
      if (isWhole) throw error
      return false
    }
  }

  async put(source: Readable | Uint8Array, expected?: Expected): Promise<Stored> {
    const known = source instanceof Uint8Array ? verifyBytes(source, expected) : expected
    const present = known === undefined ? undefined : await this.#settled(known)
    if (present !== undefined) {
      if (!(source instanceof Uint8Array)) source.destroy()
      return present
    }
    let ingest: FileIngest | undefined
    try {
      ingest = await this.#begin()
      const stored = await ingest.fill(source, expected)
      await ingest.commit(stored)
      return stored
    } catch (error) {
      if (!(source instanceof Uint8Array)) source.destroy()
      await ingest?.abort()
      throw error
    }
  }

  ingest(): Promise<Ingest> {
    return this.#begin()
  }

  async #begin(): Promise<FileIngest> {
    const path = this.#session.temporaryFile()
    const file = await onDisk('write', path, () => open(path, 'wx+', 0o600))
    return new FileIngest(path, file, (verified, written) => this.#name(path, written, verified))
  }

  /** Makes the bytes durable, then gives them their name. The first writer's file stays; it holds the same bytes. */
  async #name(temporary: string, written: FileHandle, { digest, size, synced }: Stored): Promise<void> {
    const path = this.#layout.blob(digest)
    await this.#uses.holdSurely(digestHex(digest))
    await onDisk('write blob', path, async () => {
      const actual = (await written.stat()).size
      if (actual !== size) throw sizeMismatch(digest, `${actual} bytes were written, expected ${size}`)
      await written.chmod(0o444)
      if (synced !== true) await this.#disk.syncFile(written)
      const present = this.#sizeOf(digest)
      if (present !== size) this.#link(temporary, digest, size)
      await this.#disk.syncDirectories([this.#layout.blobs])
    })
  }

  #link(temporary: string, digest: Digest, size: number): void {
    const path = this.#layout.blob(digest)
    const linked = () => unlessErrnoSync(['EEXIST'], () => linkSync(temporary, path) ?? true)
    if (linked() || this.#sizeOf(digest) === size) return
    // What has the name has another size, so it is damaged: the good bytes take its place.
    this.#moveAway(digest)
    linked()
  }

  /** The stored blob, where there is one with the right size; its name is made durable, whoever gave it. */
  async #settled(expected: Expected): Promise<Stored | undefined> {
    const size = this.#sizeOf(expected.digest)
    if (size === undefined || (expected.size !== undefined && size !== expected.size)) return undefined
    await this.#disk.syncDirectories([this.#layout.blobs])
    return { digest: expected.digest, size }
  }

  #sizeOf(digest: Digest): number | undefined {
    if (!this.#uses.hold(digestHex(digest))) return undefined
    const path = this.#layout.blob(digest)
    const stat = onDiskSync('look up blob', path, () => lstatSync(path, { throwIfNoEntry: false }))
    if (stat?.isFile() !== true) return undefined
    this.#uses.note(path, stat.mtimeMs)
    return stat.size
  }

  /** @returns undefined where there is something other than a regular file, or nothing */
  async #readBytes(digest: Digest, maxBytes: number): Promise<Buffer | undefined> {
    const size = this.#sizeOf(digest)
    if (size === undefined) return undefined
    if (size > maxBytes)
      throw sizeMismatch(digest, `it has ${size} bytes, and at most ${maxBytes} are wanted`)
    const path = this.#layout.blob(digest)
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    try {
      const file = await open(path, flags)
      try {
        return await file.readFile()
      } finally {
        await file.close()
      }
    } catch (error) {
      if (['ENOENT', 'ELOOP', 'EISDIR', 'EIO'].includes(errnoOf(error) ?? '')) return undefined
      return onDisk('read blob', path, () => Promise.reject(error))
    }
  }

  #quarantine(digest: Digest): EnvironmentError {
    const path = this.#layout.blob(digest)
    const moved = this.#moveAway(digest)
    const state =
      moved === undefined ? 'it is missing' : `its bytes are not those of its name; it is now ${moved}`
    return new EnvironmentError('ERR_STORE_CORRUPT', `Cannot read blob ${JSON.stringify(path)}: ${state}`, {
      details: { path, digest, quarantined: moved },
      hints: [
        'Run the build again: what is missing is fetched or made again. `tsbuild verify --repair` looks for more.',
      ],
    })
  }

  /** @returns where it is now; undefined where nothing was there */
  #moveAway(digest: Digest): string | undefined {
    const path = this.#layout.blob(digest)
    const target = join(this.#layout.quarantine, `${digestHex(digest)}-${this.#randomId()}`)
    return onDiskSync('move', path, () =>
      unlessErrnoSync(['ENOENT'], () => {
        renameSync(path, target)
        return target
      }),
    )
  }
}

/** {@link Ingest} of a file in the session's directory. */
class FileIngest implements Ingest {
  readonly path: string
  readonly #file: FileHandle
  readonly #name: (verified: Stored, file: FileHandle) => Promise<void>
  #ended = false

  constructor(path: string, file: FileHandle, name: (verified: Stored, file: FileHandle) => Promise<void>) {
    this.path = path
    this.#file = file
    this.#name = name
  }

  get fd(): number {
    return this.#file.fd
  }

  async commit(verified: Stored): Promise<void> {
    try {
      await this.#name(verified, this.#file)
    } finally {
      await this.abort()
    }
  }

  /** Also the end of a commit: by then the bytes have a second name. */
  async abort(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    await this.#file.close()
    onDiskSync('remove', this.path, () => removeFile(this.path))
  }

  /** Failures of the source leave as they are: a broken connection is none of the disk's. */
  async fill(source: Readable | Uint8Array, expected: Expected | undefined): Promise<Stored> {
    if (source instanceof Uint8Array) {
      await this.#write(source)
      return { digest: digestBytes(source), size: source.length }
    }
    return expected === undefined ? this.#fillAndHash(source) : this.#fillVerified(source, expected)
  }

  async #fillVerified(source: Readable, expected: Expected): Promise<Stored> {
    let size = 0
    const count = (chunk: Uint8Array) => {
      size += chunk.length
    }
    await pipeline(source, verifyingStream(expected, `blob ${expected.digest}`), this.#writer(count))
    return { digest: expected.digest, size }
  }

  async #fillAndHash(source: Readable): Promise<Stored> {
    const hash = createHash('sha256')
    let size = 0
    const count = (chunk: Uint8Array) => {
      hash.update(chunk)
      size += chunk.length
    }
    await pipeline(source, this.#writer(count))
    return { digest: digestFromHex(hash.digest('hex')), size }
  }

  /** Not an async function over the chunks: when that throws, pipeline() reports an AbortError instead. */
  #writer(seen: (chunk: Uint8Array) => void): Writable {
    return new Writable({
      write: (chunk: Buffer, _encoding, callback) => {
        seen(chunk)
        this.#write(chunk).then(() => callback(), callback)
      },
    })
  }

  /** All of the bytes, at the current position. */
  async #write(bytes: Uint8Array): Promise<void> {
    await onDisk('write', this.path, () => this.#file.writeFile(bytes))
  }
}

function verifyBytes(bytes: Uint8Array, expected: Expected | undefined): Stored {
  const actual = { digest: digestBytes(bytes), size: bytes.length }
  if (expected === undefined) return actual
  if (expected.size !== undefined && expected.size !== actual.size) {
    throw sizeMismatch(
      expected.digest,
      `it has ${actual.size} bytes, and its descriptor says ${expected.size}`,
    )
  }
  if (expected.digest !== actual.digest) {
    throw new UserError(
      'ERR_DIGEST_MISMATCH',
      `Cannot use blob: its digest is ${actual.digest}, expected ${expected.digest}`,
    )
  }
  return actual
}

function sizeMismatch(digest: Digest, state: string): UserError {
  return new UserError('ERR_SIZE_MISMATCH', `Cannot use blob ${digest}: ${state}`)
}
