import type { KeyObject } from 'node:crypto'
import type { Digest } from '@tsbuild/digest'

declare const scopeBrand: unique symbol

/**
 * Whose results they are: `<project>:<kind>/<name>`, for example `acme/app:ref/main`, `acme/app:pr/7`, `acme/app:user/jo`.
 * `parseScope` is the only way to one. @see spec/cache-server.md 4.3
 */
export type Scope = string & { readonly [scopeBrand]: true }

/** What a token permits besides its scopes. */
export type Operation = 'pull' | 'push' | 'delete' | 'admin'

/** What a token says, checked. The wire form is an EdDSA JWT. */
export interface Grant {
  /** Whether it is known who asks. What anybody else lacks is answered by 401, so that clients show a token. */
  readonly authenticated: boolean
  /** Who: `token:ci-main`, `gh:acme/app:run/17`, `anonymous`. Shown in logs and records, grants nothing. */
  readonly subject: string
  /** Scopes that are read, in the order in which they are asked. */
  readonly read: readonly Scope[]
  /** The one scope that is written. */
  readonly write: Scope | undefined
  readonly operations: readonly Operation[]
  /**
   * Repositories of ordinary images, besides those of the scopes: path patterns in which `*` stands for one component and `**`
   * for any number.
   */
  readonly repositories: { readonly pull: readonly string[]; readonly push: readonly string[] }
  /** How many bytes may be sent under this token; undefined: the server's own limit. */
  readonly maxBytes: number | undefined
  /** Unix seconds; undefined for what does not end (anonymous access to a loopback server). */
  readonly expiresAt: number | undefined
  /** The token's id (`jti`), for revocation, and for quotas where there is no {@link account}. */
  readonly id: string
  /**
   * What it is counted by where that is not its id: whoever can get new tokens whenever they like is one for quotas under all of them.
   * See `accountOf`.
   */
  readonly account?: string | undefined
}

/** What somebody wants to do to what. `hidden` things look as if they were not there. */
export type Target =
  | { readonly kind: 'server' }
  | { readonly kind: 'repository'; readonly name: string }
  | { readonly kind: 'scope'; readonly scope: Scope }

/** What to answer: `unauthenticated` is 401, `hidden` 404, `forbidden` 403. */
export type Decision = 'allowed' | 'unauthenticated' | 'hidden' | 'forbidden'

/** An ed25519 public key and its name: `ed25519:` and the first 16 hex digits of the SHA-256 of its 32 raw bytes. */
export interface TrustedKey {
  readonly id: string
  /** 32 bytes. */
  readonly publicKey: Uint8Array
}

/** The private half with it. */
export interface SigningKey extends TrustedKey {
  readonly privateKey: KeyObject
}

/**
 * Signed bytes: a DSSE envelope. The signature is over DSSE's pre-authentication encoding of type and payload.
 * @see https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
 */
export interface Envelope {
  readonly payloadType: string
  /** Base64. */
  readonly payload: string
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[]
}

/** Which keys may speak for which scopes; the first rule that matches a scope counts. */
export interface TrustPolicy {
  readonly rules: readonly TrustRule[]
}

/** See {@link TrustPolicy}. `scopes` are patterns as `compileGlob` reads them. */
export interface TrustRule {
  readonly scopes: readonly string[]
  readonly keys: readonly TrustedKey[]
}

/** Says whether a key signed something, and which. */
export interface Verified {
  readonly keyid: string
  readonly payload: Uint8Array
  /** Of the payload. */
  readonly digest: Digest
}
