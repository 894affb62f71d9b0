import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { type Digest, digestHex } from '@tsbuild/digest'
import type { SnapshotId } from './snapshot-types.ts'

/** The layout that this program reads and writes: the content of `<root>/version`. */
export const layoutVersion = '1'

const idForm = /^[0-9a-f]{32}$/

declare const sourceIdBrand: unique symbol
/** Names a directory below `v1/sources/trees`: 32 lowercase hex digits. */
export type SourceId = string & { readonly [sourceIdBrand]: true }

/** Whether a text is 32 lowercase hex digits: the border for ids that come out of a record or a directory. */
export function isSnapshotId(text: string): text is SnapshotId {
  return idForm.test(text)
}

/** As {@link isSnapshotId}, for the trees of sources. */
export function isSourceId(text: string): text is SourceId {
  return idForm.test(text)
}

/** Whether a text is 24 lowercase hex digits: the form of a build's ref, which names its history and its failure. */
export function isBuildRef(text: string): boolean {
  return /^[0-9a-f]{24}$/.test(text)
}

/** Whether a text names one of several directories of a cache mount. */
export function isCacheMountNumber(text: string): boolean {
  return /^(0|[1-9]\d{0,8})$/.test(text)
}

/** The 64 bits of sha256 that name a file or a lock: 16 hex digits. */
export function shortHash(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 16)
}

function longHash(name: string): string {
  return createHash('sha256').update(name).digest('hex')
}

/** Where everything below a store's root is. @see docs/dev/store.md */
export class Layout {
  readonly root: string
  /** `<root>/version`: written last when a store is made, so a store that has it is complete. */
  readonly version: string
  /** An OCI image layout directory. */
  readonly v1: string
  readonly ociLayout: string
  readonly index: string
  readonly blobs: string
  readonly ingest: string
  readonly snapshots: string
  readonly records: string
  readonly files: string
  readonly sourceTrees: string
  readonly sourceNames: string
  readonly sourceWork: string
  readonly failures: string
  readonly cache: string
  /** Both may be missing: they are made again from the records. */
  readonly stepIndex: string
  readonly evicted: string
  readonly locks: string
  readonly quarantine: string
  readonly mounts: string
  /** Bytes of it are the locks of cache mounts. */
  readonly mountLocks: string
  readonly builds: string
  /** Bytes of it are the locks of builds. */
  readonly buildLocks: string
  /** How much the store took when somebody last counted; part of the index. */
  readonly account: string
  /** See {@link Store.secretKey}. */
  readonly secretKey: string

  constructor(root: string) {
    const v1 = join(root, 'v1')
    this.root = root
    this.version = join(root, 'version')
    this.v1 = v1
    this.ociLayout = join(v1, 'oci-layout')
    this.index = join(v1, 'index.json')
    this.blobs = join(v1, 'blobs', 'sha256')
    this.ingest = join(v1, 'ingest')
    this.snapshots = join(v1, 'snapshots')
    this.records = join(v1, 'records')
    this.files = join(v1, 'files')
    this.sourceTrees = join(v1, 'sources', 'trees')
    this.sourceNames = join(v1, 'sources', 'names')
    this.sourceWork = join(v1, 'sources', 'work')
    this.failures = join(v1, 'failures')
    this.cache = join(v1, 'cache')
    this.stepIndex = join(v1, 'index', 'steps')
    this.evicted = join(v1, 'index', 'evicted')
    this.locks = join(v1, 'locks')
    this.quarantine = join(v1, 'quarantine')
    this.mounts = join(v1, 'mounts')
    this.mountLocks = join(this.locks, 'mounts')
    this.builds = join(v1, 'builds')
    this.secretKey = join(v1, 'secret-key')
    this.buildLocks = join(this.locks, 'builds')
    this.account = join(v1, 'index', 'account.json')
  }

  /** Every directory of a complete store. */
  directories(): readonly string[] {
    return [
      this.blobs,
      this.ingest,
      this.snapshots,
      this.records,
      this.files,
      this.sourceTrees,
      this.sourceNames,
      this.sourceWork,
      this.failures,
      join(this.cache, 'fingerprints'),
      join(this.cache, 'probe'),
      this.locks,
      this.quarantine,
      this.mounts,
      this.builds,
    ]
  }

  blob(digest: Digest): string {
    return join(this.blobs, digestHex(digest))
  }

  fileList(digest: Digest): string {
    return join(this.files, digestHex(digest))
  }

  /** The directory and the file of a record. Shards keep directories small: 100,000 records are 400 a directory. */
  record(key: Digest): { readonly directory: string; readonly path: string } {
    const hex = digestHex(key)
    const directory = join(this.records, hex.slice(0, 2))
    return { directory, path: join(directory, `${hex}.json`) }
  }

  /** The tree of a source. */
  source(id: SourceId): SourcePaths {
    const directory = join(this.sourceTrees, id)
    return { directory, fs: join(directory, 'fs'), marker: join(directory, 'source.json') }
  }

  /** Where a name of a source points to its tree. The whole hash: nobody may find a name that has another's bytes. */
  sourceName(name: string): string {
    return join(this.sourceNames, `${longHash(name)}.json`)
  }

  sourceWorkDirectory(name: string): string {
    return join(this.sourceWork, longHash(name))
  }

  /** The failed step of a build. @param ref see {@link isBuildRef} */
  failure(ref: string): FailurePaths {
    const directory = join(this.failures, ref)
    return { directory, fs: join(directory, 'fs'), marker: join(directory, 'failure.json') }
  }

  /** The history of a build. @param ref see {@link isBuildRef} */
  build(ref: string): string {
    return join(this.builds, ref)
  }

  /** The directories of a cache mount. @param name 64 hex digits */
  cacheMounts(name: string): string {
    return join(this.mounts, name)
  }

  /** One of them. */
  cacheMount(name: string, number: number): CacheMountPaths {
    const directory = join(this.cacheMounts(name), String(number))
    return {
      number,
      directory,
      fs: join(directory, 'fs'),
      meta: join(directory, 'meta.json'),
      retired: join(directory, 'retired'),
    }
  }

  snapshot(id: SnapshotId): SnapshotPaths {
    const directory = join(this.snapshots, id)
    return {
      directory,
      fs: join(directory, 'fs'),
      work: join(directory, 'work'),
      marker: join(directory, 'snapshot.json'),
      layer: join(directory, 'layer.json'),
    }
  }
}

/** The files of one snapshot. */
export interface SnapshotPaths {
  readonly directory: string
  readonly fs: string
  readonly work: string
  /** Its presence makes a snapshot committed. */
  readonly marker: string
  readonly layer: string
}

/** The files of one failure. */
export interface FailurePaths {
  readonly directory: string
  readonly fs: string
  /** What failed, as text. */
  readonly marker: string
}

/** The files of one tree of a source. */
export interface SourcePaths {
  readonly directory: string
  readonly fs: string
  /** Its presence makes a tree committed. */
  readonly marker: string
}

/** The files of one directory of a cache mount. */
export interface CacheMountPaths {
  readonly number: number
  readonly directory: string
  /** What steps see. */
  readonly fs: string
  readonly meta: string
  /** Its presence means that nobody new may use it. */
  readonly retired: string
}
