import type { LookupFunction } from 'node:net'
import type { Readable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import type { ProxySettings, RetrySettings, TimeoutSettings } from '@tsbuild/http'
import type { Descriptor, ImageReference } from '@tsbuild/oci'
import type { RegistryHosts } from './hosts.ts'

/** What proves to a registry who asks. Never shown, never sent to another host. */
export type Credentials =
  | { readonly type: 'basic'; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token, which Docker's configuration calls `identitytoken`. */
  | { readonly type: 'identityToken'; readonly token: string }

/**
 * Finds the credentials for a registry.
 *
 * @param registry as in a reference: `docker.io`, `ghcr.io`, `localhost:5000`
 * @param repository that is asked for, where it is one: `library/debian`
 * @returns undefined for anonymous access
 */
export type CredentialProvider = (registry: string, repository?: string) => Promise<Credentials | undefined>

/** What a registry client is made with. Everything has a default. */
export interface RegistryClientOptions {
  readonly credentials?: CredentialProvider | undefined
  /** Certificate authorities besides the system's, PEM texts. */
  readonly ca?: readonly string[] | undefined
  /** Registries as names have them (`host` is not `host:5000`) that may be spoken to in plain HTTP, or with a certificate that proves nothing. */
  readonly insecureHosts?: readonly string[] | undefined
  /** Hosts of token servers that may see the credentials though they are on another site than their registry. */
  readonly trustedRealms?: readonly string[] | undefined
  /** Mirrors, locations, trust and certificates of each host. Called with the first call, once. */
  readonly hosts?: (() => Promise<RegistryHosts>) | undefined
  /** What stands before `/v2` of every registry that is asked: `/cache`. Default: nothing. */
  readonly basePath?: string | undefined
  readonly proxy?: ProxySettings | undefined
  readonly userAgent?: string | undefined
  /** Requests under way to one host. Default 6. */
  readonly concurrency?: number | undefined
  readonly retry?: RetrySettings | undefined
  readonly timeouts?: TimeoutSettings | undefined
  /** Resolves host names; default: the system's. */
  readonly lookup?: LookupFunction | undefined
  /** Milliseconds since the Unix epoch. */
  readonly now?: (() => number) | undefined
  /** From 0 to 1, for the jitter of pauses. */
  readonly random?: (() => number) | undefined
  /** Resolves after a pause, or rejects when the signal fires. */
  readonly sleep?: ((ms: number, signal: AbortSignal | undefined) => Promise<void>) | undefined
}

/** What every call that waits can be given. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** For {@link RegistryClient.resolve}. */
export interface ResolveOptions extends CallOptions {
  /** Media types, best first. Default: every manifest and index that tsbuild reads. */
  readonly accept?: readonly string[] | undefined
  /** Asks the registry itself, and no mirror: of a tag that is about to be written. */
  readonly direct?: boolean | undefined
}

/** For {@link RegistryClient.putManifest}. */
export interface PutManifestOptions extends CallOptions {
  /**
   * Only where the tag means the manifest of this digest, or with `nothing` where it means none: `If-Match`, `If-None-Match`. Most
   * registries do not look at it.
   */
  readonly onlyOver?: Digest | 'nothing' | undefined
  /** Tried once: who has to know what the tag means right before it is written asks that again first. */
  readonly once?: boolean | undefined
}

/** A manifest or index as the registry holds it; the bytes have the descriptor's digest. */
export interface ResolvedManifest {
  readonly descriptor: Descriptor
  readonly bytes: Buffer
}

/** Bytes verified so far; called at each piece that was moved. */
export type TransferProgress = (currentBytes: number) => void

/** For calls that move a blob. */
export interface TransferOptions extends CallOptions {
  readonly onProgress?: TransferProgress | undefined
}

/** For {@link RegistryClient.uploadBlob}. */
export interface UploadOptions extends TransferOptions {
  /** Repositories of the same registry that probably have the blob: mounted from there instead of sent. */
  readonly mountFrom?: readonly string[] | undefined
  /** The registry said just now that it lacks the blob: it is not asked again. Default false. */
  readonly isMissing?: boolean | undefined
}

/** For {@link RegistryClient.referrers}. */
export interface ReferrersOptions extends CallOptions {
  /** Only manifests of this type. Default: all. */
  readonly artifactType?: string | undefined
}

/** For {@link RegistryClient.search}. */
export interface SearchOptions extends CallOptions {
  /** Default 25; the Hub gives 100 at most. */
  readonly limit?: number | undefined
}

/** A repository that a search found. What the registry does not say is undefined. Texts are the registry's: not checked. */
export interface FoundRepository {
  /** Within its registry: `library/debian`, on the Hub `debian`. */
  readonly name: string
  readonly description: string | undefined
  readonly stars: number | undefined
  readonly official: boolean | undefined
}

/** What a registry said to credentials: `unasked` where it lets everybody in and never looked at them. */
export type LoginOutcome = 'accepted' | 'unasked'

/** How a blob came to be in the repository. */
export type UploadOutcome = 'exists' | 'mounted' | 'uploaded'

/** Takes a blob's bytes at their positions; a position may be written again after a fault. */
export interface BlobSink {
  write(chunk: Uint8Array, position: number): Promise<void>
}

/**
 * A client of OCI distribution registries. What is pulled is asked of the mirrors first that {@link RegistryHosts} names;
 * everything else goes to the registry itself. Connections, tokens and limits are shared by all calls. Every call rejects
 * with `ERR_CANCELLED` when its signal fires, and otherwise with
 *
 * - `ERR_REGISTRY_UNREACHABLE` where no answer came after all tries
 * - `ERR_REGISTRY_TLS` where the connection cannot be trusted, or the registry speaks only plain HTTP
 * - `ERR_REGISTRY_AUTH` where the credentials are refused, missing, or would have to go to a foreign host
 * - `ERR_REGISTRY_STATUS` for any other error status, `ERR_REGISTRY_RESPONSE` for an answer that makes no sense
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md
 */
export interface RegistryClient {
  /**
   * Fetches the manifest or index that a reference means.
   * @throws {UserError} `ERR_IMAGE_NOT_FOUND` if the registry does not have it
   * @throws {UserError} `ERR_DIGEST_MISMATCH` if the bytes are not those of the wanted or the announced digest
   */
  resolve(reference: ImageReference, options?: ResolveOptions): Promise<ResolvedManifest>
  /**
   * Asks which manifest a reference means without fetching it. Falls back to {@link resolve} where the registry's
   * answer leaves the digest out.
   * @returns undefined if the registry does not have it
   */
  resolveDescriptor(reference: ImageReference, options?: ResolveOptions): Promise<Descriptor | undefined>
  /**
   * Opens a blob for reading from `offset`. What happens once the stream is there is the caller's: faults on the way, and
   * verification. Holds one of the host's places until the stream is closed.
   * @throws {UserError} `ERR_IMAGE_NOT_FOUND` if the registry does not have it
   */
  fetchBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    options?: CallOptions & { readonly offset?: number | undefined },
  ): Promise<Readable>
  /**
   * Copies a blob into a sink and verifies it. A cut connection is continued where it was cut.
   * When it resolves, the sink has exactly the blob's bytes at 0 to `descriptor.size`.
   * @throws {UserError} `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH` after a second full try
   */
  downloadBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    sink: BlobSink,
    options?: TransferOptions,
  ): Promise<void>
  hasBlob(reference: ImageReference, descriptor: Descriptor, options?: CallOptions): Promise<boolean>
  /**
   * Makes a blob of another repository of the same registry appear in this one.
   * @returns false if the registry does not do it, for whatever reason
   */
  mountBlob(
    reference: ImageReference,
    digest: Digest,
    fromRepository: string,
    options?: CallOptions,
  ): Promise<boolean>
  /**
   * Puts a blob into the reference's repository; sends nothing where it is there already. Idempotent.
   * @param openRange opens the blob's bytes from an offset to the end; called again after each fault
   */
  uploadBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    openRange: (offset: number) => Readable,
    options?: UploadOptions,
  ): Promise<UploadOutcome>
  /**
   * Stores a manifest under the reference's tag, or under its digest where it has no tag. One with a subject is added to
   * the subject's list of referrers where the registry does not do so itself: a tag `sha256-<hex>`, written by one call
   * of this client at a time; another client that writes it at the same moment may undo it.
   * @throws {EnvironmentError} `ERR_REGISTRY_STATUS`, for which `isPreconditionFailed` holds, where `onlyOver` does not
   */
  putManifest(
    reference: ImageReference,
    bytes: Uint8Array,
    mediaType: string,
    options?: PutManifestOptions,
  ): Promise<Descriptor>
  /**
   * Deletes the manifest of the reference's digest, or where it has none its tag. One with a subject leaves the list
   * of referrers that {@link putManifest} keeps. Blobs stay until the registry collects its garbage.
   * @throws {UserError} `ERR_IMAGE_NOT_FOUND` if it is not there; `ERR_UNSUPPORTED` if the registry deletes nothing
   */
  deleteManifest(reference: ImageReference, options?: CallOptions): Promise<void>
  /**
   * Lists the tags of the reference's repository, in the registry's order. Names that no reference could have are left out.
   * @throws {UserError} `ERR_IMAGE_NOT_FOUND` if the registry does not have the repository
   */
  listTags(reference: ImageReference, options?: CallOptions): Promise<readonly string[]>
  /**
   * Lists the repositories of a registry, in its order. Names that no reference could have are left out.
   * @param registry as in a reference: `localhost:5000`
   * @throws {UserError} `ERR_UNSUPPORTED` if the registry has no catalogue
   */
  listRepositories(registry: string, options?: CallOptions): Promise<readonly string[]>
  /**
   * Finds repositories by a part of their name: the Hub by its search, other registries by their catalogue.
   * @throws {UserError} `ERR_UNSUPPORTED` if the registry has no catalogue
   */
  search(registry: string, term: string, options?: SearchOptions): Promise<readonly FoundRepository[]>
  /**
   * Lists the manifests that say something about the manifest of the reference's digest: attestations, signatures. Asks
   * the registry, and reads the tag `sha256-<hex>` where it cannot answer. Empty where there are none.
   * @param reference has a digest
   */
  referrers(reference: ImageReference, options?: ReferrersOptions): Promise<readonly Descriptor[]>
  /**
   * Shows credentials to a registry, by whichever way it wants to see them. Keeps nothing.
   * @throws {EnvironmentError} `ERR_REGISTRY_AUTH` if it refuses them
   */
  login(registry: string, credentials: Credentials, options?: CallOptions): Promise<LoginOutcome>
  /** Closes the connections; calls under way fail. */
  close(): Promise<void>
}
