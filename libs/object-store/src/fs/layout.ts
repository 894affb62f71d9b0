import { join } from 'node:path'
import type { ObjectKey } from '../types.ts'

/** The format number of the layout below. */
export const formatVersion = 1

/**
 * Components at least this long (digests) are kept in a directory of their first two characters, so that no directory has more than a
 * few thousand of them.
 */
const shardedLength = 32
const shardPrefix = 2

/**
 * What a directory's name ends with: no key has these characters, so that `a` and `a/b` can both be objects. `=` is a component,
 * `+` a shard.
 */
export const componentMark = '='
/** See {@link componentMark}. */
export const shardMark = '+'

/**
 * Where things are below the root:
 *
 * ```
 * version                                  the format number, written last when a store is made
 * v1/objects/blobs=/sha256=/ab+/ab01…      object `blobs/sha256/ab01…`
 * v1/objects/names=/latest                 object `names/latest`
 * v1/temporary/<32 hex digits>/            of one opening of the store: objects on their way in
 * v1/scratch/                              of the caller: uploads under way
 * v1/locks/sessions, keys, make            kernel locks on single bytes
 * ```
 */
export class FsLayout {
  readonly root: string
  readonly version: string
  readonly objects: string
  readonly temporary: string
  readonly scratch: string
  readonly locks: string

  /** @param root an absolute path */
  constructor(root: string) {
    const v1 = join(root, 'v1')
    this.root = root
    this.version = join(root, 'version')
    this.objects = join(v1, 'objects')
    this.temporary = join(v1, 'temporary')
    this.scratch = join(v1, 'scratch')
    this.locks = join(v1, 'locks')
  }

  lock(name: 'sessions' | 'keys' | 'make'): string {
    return join(this.locks, name)
  }

  /** @param key checked by `parseObjectKey` */
  object(key: ObjectKey): string {
    const parts = key.split('/')
    const name = parts.pop() ?? ''
    const directories = parts.map((part) => `${part}${componentMark}`)
    if (name.length >= shardedLength) directories.push(`${name.slice(0, shardPrefix)}${shardMark}`)
    return join(this.objects, ...directories, name)
  }
}

/** Whether an object of this last component belongs into a shard. */
export function isSharded(name: string): boolean {
  return name.length >= shardedLength
}
