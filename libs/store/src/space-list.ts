import { lstatSync, readdirSync, type Stats } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { readSmallFile } from './disk.ts'
import { onDiskSync, unlessErrnoSync } from './fs-failure.ts'
import { isBuildRef, isCacheMountNumber, isSnapshotId, isSourceId, type Layout } from './layout.ts'
import { unsealedText } from './seal.ts'
import type { StoreEntry, StoreEntryKind } from './types.ts'

/** An entry whose size is not known yet. */
export interface Found extends Omit<StoreEntry, 'bytes'> {
  /** The file, or the directory with all below it. */
  readonly path: string
  /** A directory that counts by itself: what lies in it are other entries. */
  readonly shallow: boolean
}

const hex64 = /^[0-9a-f]{64}$/

/** Everything below the root of a store, each file and directory in exactly one entry. */
export function listStore(layout: Layout): readonly Found[] {
  return new Lister(layout).all()
}

class Lister {
  readonly #layout: Layout
  readonly #found: Found[] = []

  constructor(layout: Layout) {
    this.#layout = layout
  }

  all(): readonly Found[] {
    const layout = this.#layout
    this.#add('fixed', layout.root, { shallow: true })
    this.#others(layout.root, ['v1'])
    this.#add('fixed', layout.v1, { shallow: true })
    const areas = [
      ...this.#files('record', layout.records, this.#shards(), (name) => /^[0-9a-f]{64}\.json$/.test(name)),
      this.#trees('snapshot', layout.snapshots, isSnapshotId, 'snapshot.json', 'layer.json'),
      ...this.#files('blob', join(layout.v1, 'blobs'), [layout.blobs], (name) => hex64.test(name)),
      ...this.#sources(),
      this.#trees('failure', layout.failures, isBuildRef, 'failure.json', 'failure.json'),
      ...this.#files('file-list', layout.files, [], (name) => hex64.test(name)),
      ...this.#files('cache-file', layout.cache, this.#children(layout.cache), () => true),
      this.#cacheMounts(),
      this.#trees('build', layout.builds, () => true, undefined, 'build.json'),
      this.#trees('quarantine', layout.quarantine, () => true),
      this.#trees('session', layout.ingest, isSnapshotId),
      this.#trees('index', join(layout.v1, 'index'), () => true),
    ]
    this.#others(
      layout.v1,
      areas.map((path) => relative(layout.v1, path).split('/')[0] ?? ''),
    )
    return this.#found
  }

  /** Files of one kind in directories below an area, or in the area itself. @returns the area */
  *#files(
    kind: StoreEntryKind,
    area: string,
    directories: readonly string[],
    ours: (name: string) => boolean,
  ): Generator<string> {
    const holders = directories.length > 0 ? directories : [area]
    this.#add('fixed', area, { shallow: true })
    for (const holder of holders) {
      if (holder !== area) this.#add('fixed', holder, { shallow: true })
      for (const name of names(holder)) {
        const path = join(holder, name)
        if (!ours(name)) this.#add('fixed', path)
        else this.#add(kind, path, { id: idOf(kind, area, path), text: path })
      }
    }
    if (holders[0] !== area) {
      const known = new Set(holders)
      for (const name of names(area)) {
        if (!known.has(join(area, name))) this.#add('fixed', join(area, name))
      }
    }
    yield area
  }

  /** Directories of one kind; where they have a marker, one without it is left over. @returns the area */
  #trees(
    kind: StoreEntryKind,
    area: string,
    ours: (name: string) => boolean,
    marker?: string,
    text?: string,
  ): string {
    this.#add('fixed', area, { shallow: true })
    for (const name of names(area)) {
      const path = join(area, name)
      if (!ours(name)) this.#add('fixed', path)
      else if (marker !== undefined && stat(join(path, marker)) === undefined)
        this.#add('leftover', path, { id: relative(this.#layout.v1, path) })
      else {
        this.#add(kind, path, {
          id: name,
          ...(marker === undefined ? {} : { marker: join(path, marker) }),
          ...(text === undefined ? {} : { text: join(path, text) }),
        })
      }
    }
    return area
  }

  *#sources(): Generator<string> {
    const { sourceTrees, sourceNames, sourceWork, v1 } = this.#layout
    const area = join(v1, 'sources')
    this.#add('fixed', area, { shallow: true })
    this.#trees('source', sourceTrees, isSourceId, 'source.json', 'source.json')
    for (const _ of this.#files('source-name', sourceNames, [], (name) => /^[0-9a-f]{64}\.json$/.test(name)));
    this.#trees('source-work', sourceWork, (name) => hex64.test(name))
    this.#others(area, ['trees', 'names', 'work'])
    yield area
  }

  #cacheMounts(): string {
    const { mounts } = this.#layout
    this.#add('fixed', mounts, { shallow: true })
    for (const name of names(mounts)) {
      const ofName = join(mounts, name)
      if (!hex64.test(name)) {
        this.#add('fixed', ofName)
        continue
      }
      this.#add('fixed', ofName, { shallow: true })
      for (const number of names(ofName)) {
        const path = join(ofName, number)
        const meta = join(path, 'meta.json')
        if (!isCacheMountNumber(number)) this.#add('fixed', path)
        else this.#add('cache-mount', path, { id: `${name}/${number}`, marker: meta, text: meta })
      }
    }
    return mounts
  }

  /** What lies in a directory beside what was dealt with. */
  #others(directory: string, known: readonly string[]): void {
    for (const name of names(directory)) {
      if (!known.includes(name)) this.#add('fixed', join(directory, name))
    }
  }

  #shards(): readonly string[] {
    return this.#children(this.#layout.records).filter((path) => /\/[0-9a-f]{2}$/.test(path))
  }

  #children(directory: string): readonly string[] {
    return names(directory)
      .map((name) => join(directory, name))
      .filter((path) => stat(path)?.isDirectory() === true)
  }

  #add(
    kind: StoreEntryKind,
    path: string,
    more: { id?: string; shallow?: boolean; marker?: string; text?: string } = {},
  ): void {
    const itself = stat(path)
    if (itself === undefined) return
    const marked = (more.marker === undefined ? undefined : stat(more.marker)) ?? itself
    this.#found.push({
      kind,
      id: more.id ?? relative(this.#layout.root, path),
      path,
      shallow: more.shallow === true,
      inode: itself.ino,
      createdMs: Math.round(itself.birthtimeMs),
      usedMs: Math.round(marked.mtimeMs),
      text: () => (more.text === undefined ? undefined : textOf(more.text, basename(more.id ?? ''))),
    })
  }
}

function idOf(kind: StoreEntryKind, area: string, path: string): string {
  const name = relative(area, path)
  if (kind === 'cache-file') return name
  return name.replace(/^.*\//, '').replace(/\.json$/, '')
}

/** A damaged text counts as none. */
function textOf(path: string, name: string): string | undefined {
  return unsealedText(
    name,
    onDiskSync('read', path, () => readSmallFile(path)),
  )
}

function names(directory: string): readonly string[] {
  return (
    onDiskSync('read', directory, () =>
      unlessErrnoSync(['ENOENT', 'ENOTDIR'], () => readdirSync(directory)),
    ) ?? []
  )
}

function stat(path: string): Stats | undefined {
  return onDiskSync('look up', path, () =>
    unlessErrnoSync(['ENOTDIR'], () => lstatSync(path, { throwIfNoEntry: false })),
  )
}
