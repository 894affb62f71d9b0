import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { type Digest, digestFromHex } from '@tsbuild/digest'
import { LocalFailure } from '@tsbuild/http'
import { onDisk } from '@tsbuild/store'

/** The file that a body is written to, and the digest of what is in it. The file is made with the first byte, or at the end. */
export class BodyFile {
  readonly #openPath: () => Promise<string>
  #open: { readonly path: string; readonly file: FileHandle } | undefined
  #hash: Hash = createHash('sha256')
  #position = 0

  /** @param openPath where it shall be; asked once */
  constructor(openPath: () => Promise<string>) {
    this.#openPath = openPath
  }

  /** Bytes so far. */
  get position(): number {
    return this.#position
  }

  /** @throws {LocalFailure} where the disk fails: no fault of the network and no reason to try again */
  async append(chunk: Uint8Array): Promise<void> {
    await locally(async () => {
      const { path, file } = await this.#opened()
      await onDisk('write', path, async () => {
        for (let done = 0; done < chunk.length; ) {
          const rest = chunk.length - done
          done += (await file.write(chunk, done, rest, this.#position + done)).bytesWritten
        }
      })
    })
    this.#hash.update(chunk)
    this.#position += chunk.length
  }

  /** Forgets what was written. */
  async restart(): Promise<void> {
    if (this.#position > 0) await locally(async () => (await this.#opened()).file.truncate(0))
    this.#hash = createHash('sha256')
    this.#position = 0
  }

  /** What was written, once: the digest is used up. */
  async finish(): Promise<{ readonly path: string; readonly digest: Digest; readonly size: number }> {
    const { path } = await this.#opened()
    return { path, digest: digestFromHex(this.#hash.digest('hex')), size: this.#position }
  }

  async close(): Promise<void> {
    await this.#open?.file.close()
  }

  async #opened() {
    if (this.#open !== undefined) return this.#open
    const path = await this.#openPath()
    this.#open = { path, file: await onDisk('write', path, () => open(path, 'wx', 0o600)) }
    return this.#open
  }
}

async function locally(body: () => Promise<void>): Promise<void> {
  try {
    await body()
  } catch (error) {
    throw new LocalFailure(error)
  }
}
