import type { Digest } from '@tsbuild/digest'
import { EnvironmentError } from '@tsbuild/errors'
import type { Descriptor } from '@tsbuild/oci'
import { isObject, readDescriptor, writeDescriptor } from './descriptor-json.ts'
import { type Disk, readSmallFile } from './disk.ts'
import { onDiskSync } from './fs-failure.ts'
import type { Layout } from './layout.ts'
import type { Session } from './session.ts'
import type { LocalImages, Locks, NamedImage } from './types.ts'

const nameAnnotation = 'org.opencontainers.image.ref.name'
/** Where containerd looks for the name of an image that it imports. */
const containerdAnnotation = 'io.containerd.image.name'

/** The text of an index without images, as a new store has it. */
export const emptyIndex = formatIndex([])

/** One entry of `manifests`: as it was read, so that members that other tools wrote are kept. */
interface Entry {
  readonly raw: unknown
  readonly name: string | undefined
  readonly descriptor: Descriptor
}

/** {@link LocalImages} in `v1/index.json`. A missing file counts as an empty list. */
export class IndexFileImages implements LocalImages {
  readonly #layout: Layout
  readonly #disk: Disk
  readonly #session: Session
  readonly #locks: Locks

  constructor(layout: Layout, disk: Disk, session: Session, locks: Locks) {
    this.#layout = layout
    this.#disk = disk
    this.#session = session
    this.#locks = locks
  }

  async list(): Promise<readonly NamedImage[]> {
    return named(this.#read())
  }

  all(): readonly { readonly name: string | undefined; readonly descriptor: Descriptor }[] {
    return this.#read()
  }

  async get(name: string): Promise<Descriptor | undefined> {
    return this.#read().findLast((entry) => entry.name === name)?.descriptor
  }

  async set(names: readonly string[], descriptor: Descriptor): Promise<void> {
    const wanted = names.map((name) => newEntry(name, descriptor))
    // What a repeated build asks for is there already: no lock, and its name is durable after one cheap call.
    if (wanted.every((entry) => isPresent(this.#read(), entry))) {
      return this.#disk.syncDirectories([this.#layout.v1])
    }
    const replaced = new Set(names)
    await this.#update((entries) => [
      ...entries.filter((entry) =>
        entry.name === undefined ? entry.descriptor.digest !== descriptor.digest : !replaced.has(entry.name),
      ),
      ...wanted,
    ])
  }

  async keep(descriptor: Descriptor): Promise<void> {
    const { digest } = descriptor
    const entry = { raw: writeDescriptor(descriptor), name: undefined, descriptor }
    await this.#update((entries) =>
      entries.some((known) => known.descriptor.digest === digest) ? entries : [...entries, entry],
    )
  }

  remove(name: string): Promise<boolean> {
    return this.#drop((entry) => entry.name === name)
  }

  forget(digest: Digest): Promise<boolean> {
    return this.#drop((entry) => entry.name === undefined && entry.descriptor.digest === digest)
  }

  async #drop(isDropped: (entry: Entry) => boolean): Promise<boolean> {
    let found = false
    await this.#update((entries) => {
      const kept = entries.filter((entry) => !isDropped(entry))
      found = kept.length < entries.length
      return kept
    })
    return found
  }

  async #update(change: (entries: readonly Entry[]) => readonly Entry[]): Promise<void> {
    await this.#locks.withLock('index.json', async () => {
      const text = formatIndex(change(this.#read()))
      const temporary = () => this.#session.temporaryFile()
      await this.#disk.replaceFile(temporary, this.#layout.index, this.#layout.v1, text)
    })
  }

  #read(): readonly Entry[] {
    const path = this.#layout.index
    const bytes = onDiskSync('read', path, () => readSmallFile(path))
    return bytes === undefined ? [] : parseEntries(bytes.toString(), path)
  }
}

/**
 * Reads the text of an image list, with the entries that have no name.
 * @param path named in the error
 * @throws {EnvironmentError} `ERR_STORE_CORRUPT`
 */
export function parseImageEntries(
  text: string,
  path: string,
): readonly (Pick<NamedImage, 'descriptor'> & { readonly name: string | undefined })[] {
  return parseEntries(text, path).map(({ name, descriptor }) => ({ name, descriptor }))
}

/** The text of an image list with those entries of a damaged one that can be read. */
export function salvageImageList(damaged: string): string {
  let index: unknown
  try {
    index = JSON.parse(damaged)
  } catch {
    return emptyIndex
  }
  const manifests = isObject(index) && Array.isArray(index.manifests) ? index.manifests : []
  const entries = manifests.flatMap((raw: unknown) => {
    try {
      return [parseEntry(raw, 0, '')]
    } catch {
      return []
    }
  })
  return formatIndex(entries)
}

function named(entries: readonly Entry[]): readonly NamedImage[] {
  return entries.flatMap(({ name, descriptor }) => (name === undefined ? [] : [{ name, descriptor }]))
}

function newEntry(name: string, descriptor: Descriptor): Entry {
  const annotations = { ...descriptor.annotations, [nameAnnotation]: name, [containerdAnnotation]: name }
  return { raw: writeDescriptor({ ...descriptor, annotations }), name, descriptor }
}

function isPresent(entries: readonly Entry[], wanted: Entry): boolean {
  const text = JSON.stringify(wanted.raw)
  return entries.some((entry) => entry.name === wanted.name && JSON.stringify(entry.raw) === text)
}

function formatIndex(entries: readonly Entry[]): string {
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: entries.map((entry) => entry.raw),
  }
  return `${JSON.stringify(index, undefined, 1)}\n`
}

function parseEntries(text: string, path: string): readonly Entry[] {
  let index: unknown
  try {
    index = JSON.parse(text)
  } catch (cause) {
    throw corrupt(path, 'it is not JSON', cause)
  }
  if (!isObject(index) || index.schemaVersion !== 2 || !Array.isArray(index.manifests)) {
    throw corrupt(path, 'it is no OCI image index')
  }
  return index.manifests.map((raw: unknown, position) => parseEntry(raw, position, path))
}

function parseEntry(raw: unknown, position: number, path: string): Entry {
  const full = readDescriptor(raw)
  if (full === undefined) throw corrupt(path, `manifests[${position}] is no descriptor`)
  const { annotations, ...descriptor } = full
  const { [nameAnnotation]: name, [containerdAnnotation]: again, ...others } = annotations ?? {}
  // Other tools write the tag alone into the one, and the whole name into the other.
  if (name?.includes('/') === true && again !== undefined && again !== name)
    throw corrupt(
      path,
      `manifests[${position}] has two names, ${JSON.stringify(name)} and ${JSON.stringify(again)}`,
    )
  const named = Object.keys(others).length === 0 ? descriptor : { ...descriptor, annotations: others }
  return { raw, name, descriptor: named }
}

function corrupt(path: string, state: string, cause?: unknown): EnvironmentError {
  return new EnvironmentError(
    'ERR_STORE_CORRUPT',
    `Cannot read image list ${JSON.stringify(path)}: ${state}`,
    {
      cause,
      details: { path },
      hints: ['`tsbuild verify --repair` keeps the names that can be read.'],
    },
  )
}
