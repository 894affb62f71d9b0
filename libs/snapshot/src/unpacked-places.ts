import { type ChainId, chainUpon, type DiffId, type Digest, digestKey } from '@tsbuild/digest'
import { objectOf, oneOf, parseJson, text } from '@tsbuild/shape'
import { isSnapshotId, type RecordWrite, type SnapshotId, type Store } from '@tsbuild/store'
import type { BlobRef } from './layers.ts'

/** Where an unpacked layer is found. */
export interface UnpackedPlace {
  /** Of the record that says where it is unpacked. */
  readonly key: Digest
  /** For the lock. */
  readonly name: string
  /** It is unpacked upon what of the stack is from here on. */
  readonly from: number
}

/** Names the layers of one file system, from the lowest up. */
export interface Placing {
  /** A snapshot is put upon the stack. @param height of the stack with it */
  snapshot(height: number): void
  /**
   * @param stack what is below; undefined for a layer that is nowhere unpacked
   * @returns undefined where it stands upon such a layer, and so is nowhere unpacked either
   */
  place(layer: BlobRef, stack: readonly (SnapshotId | undefined)[]): UnpackedPlace | undefined
}

/**
 * Layers of an image are named by their chain, so that every image that begins with the same layers shares them; and so are those
 * of steps elsewhere that stand upon an image and nothing else. What stands upon a snapshot of this machine may say of its files that
 * they are hidden or linked: it is named by all that is below it.
 */
export function createPlacing(chained: Chaining): Placing {
  /** Where the image begins that the layer belongs to, and the chain of its layers so far. */
  let start = 0
  let chain: ChainId | undefined
  let wasCached = false
  const begin = (height: number) => {
    start = height
    chain = undefined
    wasCached = false
  }
  return {
    snapshot: begin,
    place(layer, stack) {
      if (layer.kind === 'image') {
        // No image stands upon a step: a merge put it there.
        if (wasCached) begin(stack.length)
      } else if (start > 0) {
        begin(stack.length + 1)
        const upon = stack.filter((id) => id !== undefined)
        if (upon.length < stack.length) return undefined
        const key = digestKey('tsbuild.unpacked-upon.v1', { upon, diffId: layer.diffId })
        return { key, name: key, from: 0 }
      }
      wasCached = layer.kind === 'cached-blob'
      chain = chained(chain, layer.diffId)
      return { key: chainKey(chain), name: chain, from: start }
    },
  }
}

type Chaining = (chain: ChainId | undefined, diffId: DiffId) => ChainId

/** Chains one more layer on. Remembered: every step of a build asks for the chains of its base image. */
export function createChains(): Chaining {
  const known = new Map<string, ChainId>()
  return (chain, diffId) => {
    const stack = `${chain} ${diffId}`
    const next = known.get(stack) ?? chainUpon(chain, diffId)
    known.set(stack, next)
    return next
  }
}

/** The key of the record that says where the layer of a chain is unpacked. */
export function chainKey(chain: ChainId): Digest {
  return digestKey('tsbuild.unpacked.v1', { chain })
}

/** Says where a layer is unpacked. */
export function unpackedRecord(key: Digest, snapshot: SnapshotId, diffId: DiffId): RecordWrite {
  return { keys: [key], text: `${JSON.stringify({ format: 1, snapshot, diffId })}\n` }
}

const isUnpackedRecord = objectOf({ format: oneOf(1), snapshot: text })

/** Where a layer is unpacked. A damaged record is none. */
export function unpackedSnapshot(store: Store, key: Digest): SnapshotId | undefined {
  const record = parseJson(store.records.get(key) ?? '')
  if (!isUnpackedRecord(record)) return undefined
  const { snapshot } = record as { readonly snapshot: string }
  return isSnapshotId(snapshot) && store.snapshots.has(snapshot) ? snapshot : undefined
}
