import type { ObjectKey } from '@tsbuild/object-store'

/**
 * An object that keeps others: a record its layers, a manifest its blobs. What nobody keeps goes when it is old enough; a holder
 * itself goes only as {@link Retention} says.
 */
export interface Holder {
  readonly key: ObjectKey
  readonly version: string
  /** Unix ms; also when it was promised to somebody last, as `head` with `touchBefore` does. */
  readonly modifiedMs: number
  /** Unix ms of its last use, as far as that is known; never before `modifiedMs`. */
  readonly usedMs: number
  /** Keys of objects below {@link Sweep} prefixes. */
  readonly holds: readonly ObjectKey[]
  readonly retention: Retention
}

/** `kept`: until its owner deletes it. `cached`: may go to make room, and when it was not used for `forMs`. */
export type Retention =
  | { readonly kind: 'kept' }
  | { readonly kind: 'cached'; readonly forMs: number | undefined }

/** Objects that live only by being held. */
export interface Sweep {
  readonly prefix: string
  /** What an object keeps while it is there, known by its key; undefined for one that is not to be collected. */
  readonly held: (key: ObjectKey) => readonly ObjectKey[] | undefined
  /** How long one stays that nobody holds yet, where that is longer than the grace; in ms. */
  readonly waitMs?: ((key: ObjectKey) => number) | undefined
}

/**
 * What one part of the server knows of its objects. Its side of the bargain: whoever is told that an object is there (by an answer, or
 * because something that holds it is stored) is told so only after a put, or `head` with `touchBefore` at most
 * {@link CollectorOptions.promiseMs} ago.
 */
export interface Keeper {
  /** For reports: `records`. */
  readonly name: string
  /** Everything that holds something, now. What comes meanwhile may be in it or not. */
  holders(signal: AbortSignal): AsyncIterable<Holder>
  /**
   * Deletes holders, but none that was touched after `notAfterMs`. Durable when it resolves.
   * @returns the keys of those that are gone
   */
  evict(
    holders: readonly Pick<Holder, 'key' | 'version'>[],
    notAfterMs: number,
    signal: AbortSignal,
  ): Promise<readonly ObjectKey[]>
  /** In this order: what keeps others before what it keeps. */
  readonly sweeps: readonly Sweep[]
}

/** How much may be stored. In bytes. */
export interface SpaceLimits {
  /** Above it nothing more is taken. */
  readonly maxBytes: number
  /** Above it, holders that are `cached` go, those first that were used longest ago… */
  readonly highBytes: number
  /** …until no more than this is left. */
  readonly lowBytes: number
}

/** The limits that follow from a size: collecting begins at 95 % of it and goes down to 85 %. */
export function spaceLimits(maxBytes: number): SpaceLimits {
  return { maxBytes, highBytes: Math.floor(maxBytes * 0.95), lowBytes: Math.floor(maxBytes * 0.85) }
}

/** What a run of the collector did. */
export interface CollectReport {
  /** False where another process was at it: nothing was done. */
  readonly hadTurn: boolean
  /** What was there at the begin. */
  readonly objects: number
  readonly bytes: number
  /** What is there now, as far as it is known: of another process's turn what it found in its last one. */
  readonly leftBytes: number | undefined
  /** Holders that went to make room, and because nobody had used them for long. */
  readonly evicted: number
  readonly expired: number
  /** Objects that nobody held. */
  readonly swept: number
  readonly sweptBytes: number
  /** Objects that were to go, and that somebody was promised meanwhile. */
  readonly spared: number
}
