import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { type FileHandle, readdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Digest, digestFromHex, digestHex, verifyingStream } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  type Index,
  openLayoutFile,
  readDocument,
  readLayoutFile,
  readLayoutIndex,
  serializeIndex,
} from '@tsbuild/oci'
import {
  errnoOf,
  makeDirectories,
  outputFailure,
  replaceBy,
  syncDirectory,
  unlessErrno,
} from '@tsbuild/store'

/**
 * The files of an OCI layout. It may come from an archive: no link is followed below its root, and nothing waits for a pipe.
 * @see https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export class LayoutDirectory {
  readonly #root: string

  /** @param root absolute */
  constructor(root: string) {
    this.#root = root
  }

  /** Makes what is missing. @throws {UserError} `ERR_ARCHIVE_INVALID` for a directory that holds something else */
  async create(): Promise<void> {
    await this.#onDisk(async () => {
      await makeDirectories(this.#root)
      const names = (await readdir(this.#root)).filter((name) => !name.startsWith('.'))
      if (names.length > 0 && !names.includes('blobs') && !names.includes('oci-layout'))
        throw new UserError(
          'ERR_ARCHIVE_INVALID',
          `Cannot write cache "${this.#root}": the directory holds something else`,
        )
      await makeDirectories(join(this.#root, folder))
      const [real, wanted] = [
        await realpath(join(this.#root, folder)),
        join(await realpath(this.#root), folder),
      ]
      if (real !== wanted)
        throw new UserError(
          'ERR_ARCHIVE_INVALID',
          `Cannot write cache "${this.#root}": ${folder} is reached through a link`,
        )
    })
  }

  /** What the layout lists. @returns undefined where there is no layout yet @throws {UserError} `ERR_ARCHIVE_INVALID`, `ERR_MANIFEST_INVALID` */
  async index(): Promise<Index | undefined> {
    if (!(await this.#has('index.json')) || !(await this.#has('oci-layout'))) return undefined
    return await readLayoutIndex(async (name) => {
      const bytes = await readLayoutFile(this.#root, name, this.#subject)
      if (bytes === undefined) throw this.#unusable(name, 'is not there')
      return bytes
    })
  }

  /** Replaces what the layout lists; durable when it resolves. */
  async replaceIndex(index: Index): Promise<void> {
    await this.#onDisk(async () => {
      // What it lists is there after a crash, too.
      await syncDirectory(join(this.#root, folder))
      await this.#replace('oci-layout', '{"imageLayoutVersion":"1.0.0"}')
      await this.#replace('index.json', serializeIndex(index))
    })
  }

  /** A manifest or a config, verified. @throws {UserError} `ERR_ARCHIVE_INVALID` where it is not there */
  async document(descriptor: Descriptor): Promise<Buffer> {
    return await readDocument(async (digest) => {
      const stream = await this.stream(digest, 0)
      if (stream === undefined) throw this.#unusable(blobName(digest), 'is not there')
      return stream
    }, descriptor)
  }

  /** Opens a blob, which is not verified. @returns undefined where it is not there */
  async stream(digest: Digest, offset: number): Promise<Readable | undefined> {
    const file = await this.#open(blobName(digest))
    if (file === undefined) return undefined
    if (offset < (await file.stat()).size) return file.createReadStream({ start: offset })
    await file.close()
    return Readable.from([])
  }

  /** Whether a blob is there, as far as its size tells. */
  async has({ digest, size }: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean> {
    return await this.#has(blobName(digest), size)
  }

  /** Puts a blob: under its name when it is verified and durable. @throws {UserError} `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH` */
  async put(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    source: Readable,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#onDisk(async () => {
      const temporary = join(this.#root, `blobs/.${randomBytes(8).toString('hex')}.tmp`)
      try {
        const verified = verifyingStream(descriptor, `blob ${descriptor.digest}`)
        const out = createWriteStream(temporary, { flags: 'wx', flush: true, mode: 0o644 })
        await pipeline(source, verified, out, { ...(signal && { signal }) })
        await rename(temporary, join(this.#root, blobName(descriptor.digest)))
      } finally {
        await rm(temporary, { force: true })
      }
    })
  }

  async remove(digest: Digest): Promise<void> {
    await this.#onDisk(() => rm(join(this.#root, blobName(digest)), { force: true }))
  }

  /** Blobs, and what was left by who was killed, that nobody touched since then. @param before Unix ms */
  async untouchedSince(before: number): Promise<readonly Digest[]> {
    return await this.#onDisk(async () => {
      const old = async (name: string) =>
        ((await unlessErrno(['ENOENT', 'ENOTDIR'], () => stat(join(this.#root, name))))?.mtimeMs ?? before) <
        before
      for (const name of await readdir(join(this.#root, 'blobs')))
        if (name.endsWith('.tmp') && (await old(`blobs/${name}`)))
          await rm(join(this.#root, 'blobs', name), { force: true })
      const found: Digest[] = []
      for (const name of await readdir(join(this.#root, folder)))
        if (/^[0-9a-f]{64}$/.test(name) && (await old(`${folder}/${name}`))) found.push(digestFromHex(name))
      return found
    })
  }

  async #has(name: string, size?: number): Promise<boolean> {
    const file = await this.#open(name)
    try {
      return file !== undefined && (size === undefined || (await file.stat()).size === size)
    } finally {
      await file?.close()
    }
  }

  async #open(name: string): Promise<FileHandle | undefined> {
    return await openLayoutFile(this.#root, name, this.#subject)
  }

  async #replace(name: string, content: string | Buffer): Promise<void> {
    await replaceBy(join(this.#root, name), (temporary) =>
      writeFile(temporary, content, { flag: 'wx', flush: true }),
    )
  }

  get #subject(): string {
    return `Cannot use cache "${this.#root}"`
  }

  #unusable(name: string, why: string): UserError {
    return new UserError('ERR_ARCHIVE_INVALID', `${this.#subject}: ${name} ${why}`)
  }

  /** Failures of the disk, in words. @throws {EnvironmentError} `ERR_OUTPUT`, `ERR_STORE_NO_SPACE` */
  async #onDisk<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'ELOOP') throw this.#unusable('a file of it', 'is a link')
      throw errno === undefined ? error : outputFailure(error, this.#subject)
    }
  }
}

const folder = 'blobs/sha256'

function blobName(digest: Digest): string {
  return `${folder}/${digestHex(digest)}`
}
