import type { Digest } from '@tsbuild/digest'

/** The text of a key file. */
export interface KeyText {
  /** PEM: cosign's own form, PKCS#8, SEC 1, PKCS#1; for verifying SPKI or PKCS#1. */
  readonly pem: string
  /** For messages. */
  readonly name: string
  /** Called at most once, where the key is encrypted. */
  readonly password?: (() => Promise<string>) | undefined
}

/** `tsbuild sign`. */
export interface SignImageOptions {
  /** A name of a registry: with a digest, or with a tag, which is resolved once. */
  readonly image: string
  readonly key: KeyText
  /** Stated with the signature. */
  readonly annotations?: Readonly<Record<string, string>> | undefined
  /** The images of an index are signed, too. */
  readonly recursive?: boolean | undefined
  /** Stored as a referrer of the image instead of under a tag. */
  readonly referrers?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** What was signed or attested. */
export interface SignedImageReport {
  /** `registry/repository@sha256:…` */
  readonly image: string
  /** The name of the manifest with the signature. */
  readonly place: string
  /** False where the same signature was there. */
  readonly added: boolean
}

/** `tsbuild attest`. */
export interface AttestImageOptions {
  readonly image: string
  readonly key: KeyText
  /** One of cosign's short names, or a URI. */
  readonly predicateType: string
  /** Any JSON value. */
  readonly predicate: unknown
  readonly referrers?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** `tsbuild verify-image`. */
export interface VerifyImageOptions {
  /** A name of a registry, or a place as `tsbuild copy` has them: `store:NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`. */
  readonly image: string
  /** What the paths of places are relative to. Default `/`. */
  readonly cwd?: string | undefined
  readonly key: KeyText
  /** Each must be stated with a signature. */
  readonly annotations?: Readonly<Record<string, string>> | undefined
  /** Attestations of this type are verified instead of signatures. */
  readonly predicateType?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** What was verified; of signatures and attestations one list is there, and it is not empty. */
export interface VerifiedImageReport {
  /** `registry/repository@sha256:…`: the bytes that were signed. */
  readonly image: string
  readonly digest: Digest
  readonly signatures?: readonly {
    readonly identity: string
    readonly annotations: Readonly<Record<string, unknown>>
  }[]
  readonly attestations?: readonly { readonly predicateType: string; readonly predicate: unknown }[]
}

/** The calls about signatures. Images are signed in registries. */
export interface SignatureCalls {
  /**
   * Signs an image, as `cosign sign --key` does.
   * @throws {UserError} `ERR_SIGNATURE_KEY`, `ERR_IMAGE_NOT_FOUND`, `ERR_CANCELLED`; what the registry client throws
   * @see docs/reference/sign.md
   */
  signImage(options: SignImageOptions): Promise<readonly SignedImageReport[]>
  /** Says something about an image and signs it, as `cosign attest --key` does. @throws {UserError} as `signImage` */
  attestImage(options: AttestImageOptions): Promise<SignedImageReport>
  /**
   * Verifies signatures or attestations of an image with a public key.
   * @throws {UserError} `ERR_SIGNATURE_MISSING`, `ERR_SIGNATURE_INVALID`, `ERR_SIGNATURE_SUBJECT`, `ERR_SIGNATURE_CLAIMS`,
   *   `ERR_SIGNATURE_MOVED`, `ERR_SIGNATURE_KEY`, `ERR_IMAGE_NOT_FOUND`, `ERR_CANCELLED`
   * @see docs/reference/verify-image.md
   */
  verifyImage(options: VerifyImageOptions): Promise<VerifiedImageReport>
}
