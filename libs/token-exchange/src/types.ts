import type { Operation } from '@tsbuild/trust'

/**
 * What jobs get whose token has certain claims. The first rule of the issuer that fits counts, and where its templates make no sense
 * with the claims nothing is given. A rule that gives nothing shuts jobs out before a later one fits them.
 */
export interface ExchangeRule {
  /** By claim one or several patterns, one of which must fit its text; `{name}` in a pattern remembers a part. */
  readonly match: Readonly<Record<string, readonly string[]>>
  /** Templates of the scopes that are read, in order. One that has a `{name?}` which is not known is left out. */
  readonly read: readonly string[]
  /** Template of the one scope that is written. */
  readonly write: string | undefined
  readonly operations: readonly Operation[]
  /** Templates of patterns of ordinary images. */
  readonly repositories: { readonly pull: readonly string[]; readonly push: readonly string[] }
  /** Template of who it is, for logs and records. */
  readonly subject: string
  /** How long the token is good, in seconds. */
  readonly ttl: number
  readonly maxBytes: number | undefined
}

/** A CI service whose tokens are taken. */
export interface TrustedIssuer {
  /** As in `iss`, to the letter. */
  readonly issuer: string
  /** What tokens must be for: one of these is in `aud`. */
  readonly audiences: readonly string[]
  /** Where its keys are; undefined: where its discovery document says. */
  readonly keys: string | undefined
  /** Whether a token is exchanged only once. Jobs that have one token for several builds need it more often. */
  readonly once: boolean
  readonly rules: readonly ExchangeRule[]
}

/** What a token says, as texts; members that are no text, number or truth value are left out. */
export type Claims = Readonly<Record<string, string>>
