import { encodeRecord } from '@tsbuild/cache'
import type { Digest, KeyValue } from '@tsbuild/digest'
import type { Filesystem, LayerRef } from '@tsbuild/snapshot'
import { emptyFilesystem, withLayer } from '@tsbuild/snapshot'
import type { CacheRecord, Executed } from '@tsbuild/solver'
import { isSnapshotId, type SnapshotDraft, type SnapshotId } from '@tsbuild/store'
import type { OpResult } from './types.ts'

/** The file system of a base input; empty for a step without one. */
export function filesystemOf(result: OpResult | undefined): Filesystem {
  return result?.kind === 'filesystem' ? result.filesystem : emptyFilesystem
}

/** What a step that made one layer hands to the solver. */
export function executedLayer(base: Filesystem, draft: SnapshotDraft, createdAt: number): Executed<OpResult> {
  return {
    result: {
      kind: 'filesystem',
      filesystem: withLayer(base, { kind: 'snapshot', id: draft.id, createdAt }),
    },
    stored: { snapshot: draft.id, createdAt },
    commit: (keys: readonly Digest[], record: CacheRecord) =>
      draft.commit([{ keys, text: encodeRecord(record) }]),
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
