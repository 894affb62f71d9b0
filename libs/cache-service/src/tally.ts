import type { PutOutcome } from '@tsbuild/cache-protocol'

/** What a service counted since it was opened. */
export class Tally {
  /** Keys that were looked up, and steps of plans that had a key. */
  hits = 0
  misses = 0
  lookups = 0
  plans = 0
  /** Blobs that clients asked for by `/v1/missing`, and those of them that were missing. */
  askedBlobs = 0
  missingBlobs = 0
  /** Requests that a quota refused. */
  refusedRequests = 0
  refusedBytes = 0
  readonly puts: Record<PutOutcome['outcome'], number> = {
    stored: 0,
    same: 0,
    different: 0,
    forbidden: 0,
    invalid: 0,
    missing: 0,
    full: 0,
  }
}
