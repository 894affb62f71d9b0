import type { Digest } from '@tsbuild/digest'
import type { Layout } from '@tsbuild/store'
import type { Checked, VerifyOptions } from './types.ts'

/** One verification under way: what the earlier checks know and the later ones need. */
export interface Scan extends Pick<VerifyOptions, 'native' | 'signal'> {
  readonly layout: Layout
  /** Blobs that are whole, with their sizes in bytes. */
  readonly blobs: Map<Digest, number>
  /** Snapshots that are there, and whether their files are as they were. */
  readonly snapshots: Map<string, 'whole' | 'damaged'>
  readonly checked: { -readonly [Name in keyof Checked]: Checked[Name] }
}
