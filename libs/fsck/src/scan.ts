import type { Digest } from '@tsbuild/digest'
import type { Layout, SnapshotId, StoredForm } from '@tsbuild/store'
import type { Checked, VerifyOptions } from './types.ts'

/** See {@link Scan.layers}. */
export interface LayerSource {
  readonly snapshot: SnapshotId
  readonly mediaType: string
  readonly form: StoredForm | undefined
}

/** One verification under way: what the earlier checks know and the later ones need. */
export interface Scan extends Pick<VerifyOptions, 'native' | 'now' | 'signal'> {
  readonly layout: Layout
  /** Blobs that are whole, with their sizes in bytes. */
  readonly blobs: Map<Digest, number>
  readonly damagedBlobs: Set<Digest>
  /** Snapshots that are there, and whether their files are as they were. */
  readonly snapshots: Map<string, 'whole' | 'damaged'>
  /** What layers can be made again from: of the blobs that snapshots had, the snapshot. */
  readonly layers: Map<Digest, LayerSource>
  readonly checked: { -readonly [Name in keyof Checked]: Checked[Name] }
}
