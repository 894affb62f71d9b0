import { encodeRecord } from '@tsbuild/cache'
import type { KeyValue } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import type { Filesystem, Following, LayerRef, PreparedSnapshot } from '@tsbuild/snapshot'
import { emptyFilesystem, withLayer } from '@tsbuild/snapshot'
import type { Executed } from '@tsbuild/solver'
import { isSnapshotId, type SnapshotId } from '@tsbuild/store'
import type { OpResult } from './types.ts'

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

/** Brings such a layer back onto its base; undefined if the snapshot is gone or the stored value is not of ours. */
export function loadLayer(
  stored: KeyValue,
  base: Filesystem,
  has: (id: SnapshotId) => boolean,
): OpResult | undefined {
  if (typeof stored !== 'object' || stored === null || !('snapshot' in stored) || !('createdAt' in stored))
    return undefined
  const { snapshot, createdAt } = stored
  if (typeof snapshot !== 'string' || typeof createdAt !== 'number') return undefined
  if (!isSnapshotId(snapshot) || !has(snapshot)) return undefined
  const layer: LayerRef = { kind: 'snapshot', id: snapshot, createdAt }
  return { kind: 'filesystem', filesystem: withLayer(base, layer) }
}
