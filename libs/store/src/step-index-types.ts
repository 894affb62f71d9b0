import type { Digest } from '@tsbuild/digest'

/**
 * Which records a step has had, so that a miss can be compared with them, and what became of records that were pruned. It only
 * explains: whatever is missing or damaged is made again from the records, and no method throws.
 */
export interface StepIndex {
  /**
   * The latest records of an identity, newest first; some may be gone by now. The first call in a store of before the index, and
   * one that meets a damaged file, reads every record.
   * @param identity see `libs/cache/src/explain/identities.ts`
   * @param describe gives what a record's text is found by
   */
  find(identity: Digest, describe: DescribeRecord): Promise<readonly IndexedRecord[]>
  /** Puts a record in front of its identities. Best effort, not synced. */
  add(identities: readonly Digest[], record: IndexedRecord): void
  /** Notes that records were removed on purpose. Best effort; the oldest are forgotten. */
  evicted(keys: readonly Digest[], eviction: Eviction): void
  /** What is noted of the first of these keys that has something. */
  eviction(keys: readonly Digest[]): Eviction | undefined
}

/** A record of {@link StepIndex}. */
export interface IndexedRecord {
  /** Under which it was written; at least one. */
  readonly keys: readonly Digest[]
  /** Unix ms, when its step had run. */
  readonly at: number
}

/** See {@link StepIndex.find}; undefined for a text that is no record. */
export type DescribeRecord = (
  text: string,
) => { readonly identities: readonly Digest[]; readonly at: number } | undefined

/** Why a record is no more. */
export interface Eviction {
  /** Unix ms. */
  readonly at: number
  /** A few words on one line: `unused for 60 days`; may be empty. */
  readonly reason: string
}
