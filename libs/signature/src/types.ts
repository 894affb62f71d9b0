import type { KeyObject } from 'node:crypto'
import type { Digest } from '@tsbuild/digest'
import type { Descriptor, ImageReference } from '@tsbuild/oci'

/** A private key that can sign. */
export interface SigningKey {
  readonly key: KeyObject
}

/** A public key that can verify. */
export interface VerifyingKey {
  readonly key: KeyObject
}

/** A manifest and its bytes, which have the digest. */
export interface StoredManifest {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

/** Where images and what is said about them are read: a registry. What it gives is verified against its digests. */
export interface SignaturePlace {
  /** The manifest or index that a reference means; undefined if there is none. */
  readonly resolve: (reference: ImageReference) => Promise<StoredManifest | undefined>
  /** Reads a small blob of the reference's repository whole. */
  readonly read: (reference: ImageReference, blob: Descriptor) => Promise<Uint8Array>
  /** The manifests that have the referenced one as their subject. @param reference with its digest */
  readonly referrers: (reference: ImageReference, artifactType: string) => Promise<readonly Descriptor[]>
}

/** A place that can be written to. */
export interface WritableSignaturePlace extends SignaturePlace {
  readonly putBlob: (reference: ImageReference, mediaType: string, bytes: Uint8Array) => Promise<Descriptor>
  readonly putManifest: (
    reference: ImageReference,
    mediaType: string,
    bytes: Uint8Array,
  ) => Promise<Descriptor>
  /**
   * Changes what a tag means, so that what others put under it at the same moment is not lost.
   *
   * @param change gives the manifest that the tag is to mean, undefined where it does already; called again for what others wrote
   */
  readonly updateManifest: (tag: ImageReference, change: TagChange) => Promise<void>
}

/** From what is under a tag to what is to be there. */
export type TagChange = (
  existing: StoredManifest | undefined,
) => Promise<{ readonly mediaType: string; readonly bytes: Uint8Array } | undefined>

/** How something is signed. */
export interface SignOptions {
  readonly key: SigningKey
  /** Stated with the signature: `-a name=value`. */
  readonly annotations?: Readonly<Record<string, string>> | undefined
  /** The images of an index are signed, too. */
  readonly recursive?: boolean | undefined
  /** Stored as a referrer of the image instead of under the tag that its digest makes. */
  readonly referrers?: boolean | undefined
}

/** What was signed. */
export interface SignedImage {
  readonly digest: Digest
  /** Where the signature is: a tag, or the digest of the manifest. */
  readonly place: ImageReference
  /** False where a signature of this key for the same words was there. */
  readonly added: boolean
}

/** How an image is verified. */
export interface VerifyOptions {
  readonly key: VerifyingKey
  /** Each must be stated with the signature. */
  readonly annotations?: Readonly<Record<string, string>> | undefined
  /** What the image is called in messages. Default: its name. */
  readonly label?: string | undefined
}

/** How attestations are verified. */
export interface VerifyAttestationOptions {
  readonly key: VerifyingKey
  /** The URI of the type. */
  readonly predicateType: string
  /** What the image is called in messages. Default: its name. */
  readonly label?: string | undefined
}

/** One signature that fits the image and the key. */
export interface ValidSignature {
  /** The repository that the signer named; nobody checks that it is this one. */
  readonly identity: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** An image that was verified. */
export interface VerifiedImage {
  /** Of the bytes that the signatures are for. Who goes on by the tag may get others. */
  readonly digest: Digest
  readonly mediaType: string
  readonly signatures: readonly ValidSignature[]
}

/** One attestation that fits the image and the key. */
export interface ValidAttestation {
  readonly predicateType: string
  readonly predicate: unknown
}
