import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { EnvironmentError, type ErrorCode } from '@tsbuild/errors'
import { HttpError, isHttpError } from '@tsbuild/http-server'
import { objectOf, parseJson, text } from '@tsbuild/shape'
import type { DiskRoom } from './disk-room.ts'
import { digestInvalid, uploadUnknown } from './failures.ts'
import { Memory } from './memory.ts'
import type { ContentDigest } from './names.ts'
import { type Received, receiveInto } from './receive.ts'
import type { StagedContent, UploadPlace, Uploads } from './uploads.ts'

/** How many uploads may be under way. */
export interface UploadBounds {
  readonly perOwner: number
  readonly inAll: number
}

/** What {@link fileUploads} needs. */
export interface FileUploadsOptions {
  /** Made where it is missing; on the file system of the objects, so that a file can become one. */
  readonly directory: string
  readonly bounds: UploadBounds
  readonly room: DiskRoom
  /** Unix ms. */
  readonly now: () => number
  /** Lowercase hex digits, as many, that nobody guesses. */
  readonly randomHex: (digits: number) => string
}

/**
 * Keeps uploads as directories named by their ids, of which the first 16 digits are the owner's: in each `session.json`, and a file
 * for each part, named by where it begins.
 */
export function fileUploads(options: FileUploadsOptions): Uploads {
  return new FileUploads(options)
}

const sessionFile = 'session.json'
const sessionShape = objectOf({ v: (v) => v === 1, repository: text })
const idForm = /^[0-9a-f]{48}$/
const partForm = /^[0-9]{16}$/

class FileUploads implements Uploads {
  readonly #options: FileUploadsOptions
  /** Digests of parts that this process has received, by path: the common upload in one part is not read again. */
  readonly #hashes = new Memory<string>(10_000, () => 1)
  #made: Promise<unknown> | undefined

  constructor(options: FileUploadsOptions) {
    this.#options = options
  }

  async begin(repository: string, owner: string): Promise<string> {
    const { bounds, randomHex, directory } = this.#options
    const ownerPart = createHash('sha256').update(owner).digest('hex').slice(0, 16)
    const names = (await this.#list()).filter((name) => idForm.test(name))
    const own = names.filter((name) => name.startsWith(ownerPart)).length
    if (names.length >= bounds.inAll || own >= bounds.perOwner) {
      throw new HttpError(429, 'TOOMANYREQUESTS', 'too many uploads are under way', {
        headers: { 'Retry-After': '60' },
      })
    }
    const id = `${ownerPart}${randomHex(32)}`
    const made = join(directory, `new-${id}`)
    await this.#onDisk(async () => {
      await mkdir(made, { mode: 0o700 })
      await writeFile(join(made, sessionFile), JSON.stringify({ v: 1, repository }), { mode: 0o600 })
      await rename(made, join(directory, id))
    })
    return id
  }

  async size(place: UploadPlace): Promise<number> {
    return sizeOf(await this.#parts(await this.#open(place)))
  }

  async append(place: UploadPlace, at: number, body: Readable, announced?: number): Promise<number> {
    const folder = await this.#open(place).catch((error) => {
      body.destroy()
      throw error
    })
    const temporary = join(folder, `.${this.#options.randomHex(16)}`)
    try {
      const { size, sha256, failure } = await this.#receive(temporary, body, announced)
      // What is too long altogether is not worth keeping.
      if (size > 0 && !(isHttpError(failure) && failure.status === 413)) {
        await this.#name(temporary, folder, at)
        this.#hashes.set(partPath(folder, at), sha256.digest('hex'))
      }
      if (failure !== undefined) throw failure
      return at + size
    } finally {
      // On a disk that is full as well: what was written until then would keep it full.
      await rm(temporary, { force: true })
    }
  }

  /** With room for what is announced, and for more only while there is some. */
  async #receive(path: string, body: Readable, announced = 0, alsoSha512 = false): Promise<Received> {
    try {
      const room = this.#options.room.reserve(announced)
      try {
        return await this.#onDisk(() => receiveInto(path, body, room, alsoSha512))
      } finally {
        room.release()
      }
    } finally {
      body.destroy()
    }
  }

  /** Gives a part its name if it begins where the others end. */
  async #name(temporary: string, folder: string, at: number): Promise<void> {
    const parts = await this.#parts(folder)
    if (sizeOf(parts) !== at) throw outOfOrder()
    await link(temporary, partPath(folder, at)).catch((error) => {
      if (error.code === 'EEXIST') throw outOfOrder()
      if (error.code === 'ENOENT') throw uploadUnknown()
      throw diskFailure(error)
    })
  }

  async finish(
    place: UploadPlace,
    digest: ContentDigest,
    store: (content: StagedContent) => Promise<void>,
  ): Promise<void> {
    const folder = await this.#open(place)
    const claimed = `${folder}.${this.#options.randomHex(16)}`
    await rename(folder, claimed).catch((error) => {
      throw error.code === 'ENOENT' ? uploadUnknown() : diskFailure(error)
    })
    let failure: unknown
    try {
      await store(await this.#assemble(folder, claimed, digest))
    } catch (error) {
      failure = error
    }
    const isGone = failure === undefined || (isHttpError(failure) && failure.code === 'DIGEST_INVALID')
    if (isGone) await rm(claimed, { recursive: true, force: true })
    else {
      await rm(wholePath(claimed), { force: true })
      await rename(claimed, folder)
    }
    if (failure !== undefined) throw failure
  }

  /** @param folder the name that its parts were received under */
  async #assemble(folder: string, claimed: string, digest: ContentDigest): Promise<StagedContent> {
    const parts = await this.#parts(claimed)
    const [only] = parts
    const hash = only === undefined ? undefined : this.#hashes.get(partPath(folder, only.at))
    if (only !== undefined && parts.length === 1 && hash !== undefined && digest.algorithm === 'sha256') {
      if (hash !== digest.hex) throw otherDigest()
      return { path: partPath(claimed, 0), size: only.size, sha256: hash }
    }
    const whole = Readable.from(concatenate(parts.map(({ at }) => partPath(claimed, at))))
    // The parts are there until it is content.
    return this.#staged(wholePath(claimed), digest, whole, sizeOf(parts))
  }

  async receive(
    digest: ContentDigest,
    body: Readable,
    store: (content: StagedContent) => Promise<void>,
    announced?: number,
  ): Promise<void> {
    const path = join(this.#options.directory, `one-${this.#options.randomHex(32)}`)
    try {
      await this.#list()
      await store(await this.#staged(path, digest, body, announced))
    } finally {
      body.destroy()
      await rm(path, { force: true })
    }
  }

  async #staged(
    path: string,
    digest: ContentDigest,
    body: Readable,
    announced: number | undefined,
  ): Promise<StagedContent> {
    await rm(path, { force: true })
    const isLong = digest.algorithm === 'sha512'
    const { size, sha256, sha512, failure } = await this.#receive(path, body, announced, isLong)
    if (failure !== undefined) throw failure
    const hex = sha256.digest('hex')
    if ((sha512 === undefined ? hex : sha512.digest('hex')) !== digest.hex) throw otherDigest()
    return { path, size, sha256: hex }
  }

  async cancel(place: UploadPlace): Promise<void> {
    await rm(await this.#open(place), { recursive: true, force: true })
  }

  async expire(olderThanMs: number): Promise<number> {
    const before = this.#options.now() - olderThanMs
    let removed = 0
    for (const name of await this.#list()) {
      const path = join(this.#options.directory, name)
      const about = await stat(path).catch(() => undefined)
      if (about === undefined || about.mtimeMs >= before) continue
      await rm(path, { recursive: true, force: true })
      removed += 1
    }
    return removed
  }

  async underWay(): Promise<number> {
    return (await this.#list()).filter((name) => idForm.test(name)).length
  }

  async #open({ repository, id }: UploadPlace): Promise<string> {
    if (!idForm.test(id)) throw uploadUnknown()
    const folder = join(this.#options.directory, id)
    const session = parseJson(await readFile(join(folder, sessionFile), 'utf8').catch(() => ''))
    if (!sessionShape(session) || (session as { repository: string }).repository !== repository)
      throw uploadUnknown()
    return folder
  }

  async #list(): Promise<readonly string[]> {
    const { directory } = this.#options
    this.#made ??= mkdir(directory, { recursive: true, mode: 0o700 })
    await this.#onDisk(() => this.#made ?? Promise.resolve())
    return this.#onDisk(() => readdir(directory))
  }

  async #parts(folder: string): Promise<readonly { readonly at: number; readonly size: number }[]> {
    const names = await readdir(folder).catch((error) => {
      throw error.code === 'ENOENT' ? uploadUnknown() : diskFailure(error)
    })
    const offsets = names
      .filter((name) => partForm.test(name))
      .sort()
      .map(Number)
    return Promise.all(offsets.map(async (at) => ({ at, size: (await stat(partPath(folder, at))).size })))
  }

  async #onDisk<Result>(act: () => Promise<Result>): Promise<Result> {
    try {
      return await act()
    } catch (error) {
      throw diskFailure(error)
    }
  }
}

function partPath(folder: string, at: number): string {
  return join(folder, String(at).padStart(16, '0'))
}

function wholePath(folder: string): string {
  return join(folder, '.whole')
}

function sizeOf(parts: readonly { readonly at: number; readonly size: number }[]): number {
  const last = parts.at(-1)
  return last === undefined ? 0 : last.at + last.size
}

async function* concatenate(paths: readonly string[]): AsyncGenerator<Buffer> {
  for (const path of paths) yield* createReadStream(path, { highWaterMark: 1024 * 1024 })
}

/** The handler adds where the upload is. */
function outOfOrder(): HttpError {
  return new HttpError(416, 'BLOB_UPLOAD_INVALID', 'the part does not begin where the upload ends')
}

function otherDigest(): HttpError {
  return digestInvalid('the bytes have another digest')
}

/** What the disk says, as engines of objects say it. */
function diskFailure(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (isHttpError(error) || typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return error
  return new EnvironmentError(codes[code] ?? 'ERR_STORE_IO', `Cannot write an upload: ${code}`, {
    cause: error,
  })
}

const codes: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'ERR_STORE_NO_SPACE',
  EDQUOT: 'ERR_STORE_NO_SPACE',
  // Passes: files are closed when other requests end.
  EMFILE: 'ERR_STORAGE_UNAVAILABLE',
  ENFILE: 'ERR_STORAGE_UNAVAILABLE',
}
