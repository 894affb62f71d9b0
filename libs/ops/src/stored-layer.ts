import { encodeRecord } from '@tsbuild/cache'
import type { KeyValue } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import { isRecord } from '@tsbuild/shape'
import type { Filesystem, Following, LayerRef, PreparedSnapshot } from '@tsbuild/snapshot'
import { emptyFilesystem, parseCachedLayer, withLayer } from '@tsbuild/snapshot'
import type { Executed } from '@tsbuild/solver'
import { isSnapshotId } from '@tsbuild/store'
import type { OpResult, OpsOptions } from './types.ts'

/** The file system of a base input; empty for a step without one. */
export function filesystemOf(result: OpResult | undefined): Filesystem {
  return result?.kind === 'filesystem' ? result.filesystem : emptyFilesystem
}

/** The file system of an input that is mounted. @throws {InternalError} `ERR_INTERNAL` for a directory of the host */
export function mountedFilesystem(inputs: readonly OpResult[], index: number): Filesystem {
  const result = inputs[index]
  if (result?.kind === 'filesystem') return result.filesystem
  throw new InternalError('ERR_INTERNAL', `input ${index} of a step cannot be mounted`)
}

/** What a step that made one layer hands to the solver. */
export function executedLayer(
  base: Filesystem,
  snapshot: PreparedSnapshot,
  made: Following & { readonly createdAt: number },
): Executed<OpResult> {
  const { id } = snapshot
  const { createdAt } = made
  return {
    result: { kind: 'filesystem', filesystem: withLayer(base, { kind: 'snapshot', id, createdAt }) },
    stored: { snapshot: id, createdAt },
    commit: (keys, record) => snapshot.commit([{ keys, text: encodeRecord(record) }], made),
  }
}

/**
 * Brings such a layer back onto its base, or one of a cache elsewhere, of which nothing is fetched; undefined if it is gone or the
 * stored value is not of ours.
 */
export function loadLayer(
  stored: KeyValue,
  base: Filesystem,
  { hasSnapshot, hasCached }: Pick<OpsOptions, 'hasSnapshot' | 'hasCached'>,
): OpResult | undefined {
  if (!isRecord(stored)) return undefined
  if ('cached' in stored) {
    const layer = parseCachedLayer(stored.cached)
    if (layer === undefined || hasCached?.(layer) !== true) return undefined
    return { kind: 'filesystem', filesystem: withLayer(base, layer) }
  }
  const { snapshot, createdAt } = stored
  if (typeof snapshot !== 'string' || typeof createdAt !== 'number') return undefined
  if (!isSnapshotId(snapshot) || !hasSnapshot(snapshot)) return undefined
  const layer: LayerRef = { kind: 'snapshot', id: snapshot, createdAt }
  return { kind: 'filesystem', filesystem: withLayer(base, layer) }
}

/** Whether what a step stored can be brought back. */
export function isAtHand(stored: KeyValue, layers: Pick<OpsOptions, 'hasSnapshot' | 'hasCached'>): boolean {
  return loadLayer(stored, emptyFilesystem, layers) !== undefined
}
