import type { Descriptor } from '@tsbuild/oci'
import type { ExportableBlob } from '../types.ts'
import type { Change } from './change.ts'

/** How a blob came to be in a cache. */
export type PutOutcome = 'sent' | 'exists' | 'mounted'

/** A tag of a registry or of a directory that holds a cache: what exports need of it. */
export interface CachePlace {
  /** As shown to the user. */
  readonly name: string
  /** Puts a blob where the cache can name it; sends nothing where it is there, and asks nothing where the cache names it already. */
  put(blob: ExportableBlob, signal: AbortSignal): Promise<PutOutcome>
  /** Changes what the cache says, so that nothing of what others say at the same time is lost. */
  update(change: Change, signal: AbortSignal): Promise<UpdateOutcome>
}

/** What became of a change. */
export interface UpdateOutcome {
  /** Of the manifest; undefined where all of it was there. */
  readonly written: Descriptor | undefined
  /** Steps of former builds that had no place any more. */
  readonly dropped: number
}
