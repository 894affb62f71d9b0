import type { Readable, Writable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import type { TransferOutcome } from '@tsbuild/events'
import type { Descriptor, ImageReference, Platform } from '@tsbuild/oci'
import type { BlobSink, RegistryClient, TransferOptions } from '@tsbuild/registry'
import type { Store } from '@tsbuild/store'

/** What places are opened with. */
export interface PlaceOptions {
  /** The local image list; what has to lie somewhere on its way (an archive from a pipe) lies in its ingest. */
  readonly store: Store
  /** Opened at the first use. */
  readonly registry: () => RegistryClient
  /** What relative paths are relative to; an absolute path. */
  readonly cwd: string
  /** What `-` stands for; each is used at most once. Standard output is not ended. */
  readonly stdin?: Readable | undefined
  readonly stdout?: Writable | undefined
  /** Gives a stream to a file, which appears under its name when `write` has ended well; or to a caller's stream. */
  readonly writeOutput: (dest: string | Writable, write: (out: Writable) => Promise<void>) => Promise<void>
  readonly signal?: AbortSignal | undefined
}

/** How far a blob is. */
export interface BlobProgress {
  readonly digest: Digest
  readonly currentBytes: number
  readonly totalBytes: number
  /** When it is done: `sent`, or that it was there, or was taken over from elsewhere there. */
  readonly outcome?: TransferOutcome | undefined
}

/** Takes progress; must not throw. */
export type OnProgress = (progress: BlobProgress) => void

/** A manifest or an index with its verified bytes. */
export interface ImageDocument {
  readonly descriptor: Descriptor
  readonly bytes: Buffer
}

/** The bytes of a blob, not verified. */
export interface BlobSource {
  /** Opens them from an offset on. Called again after a fault. */
  readonly openRange: (offset: number) => Readable
  /** Of a place far away: copies them whole and verified, and goes on where a connection was cut. */
  readonly download?: ((sink: BlobSink, options: TransferOptions) => Promise<void>) | undefined
}

/** An image of a place, and what it is called there. */
export interface PlacedImage {
  readonly root: Descriptor
  /** As the place has them: full names, or tags of a layout. May be empty. */
  readonly names: readonly string[]
}

/** A place that is read. */
export interface ImageSource {
  /** For messages. */
  readonly label: string
  /** Where its blobs may be mounted from. */
  readonly repository?: ImageReference | undefined
  /** The image that the place means. @throws {UserError} `ERR_IMAGE_NOT_FOUND` for none, or several */
  resolve(): Promise<ImageDocument>
  /** Every image that is there; of a registry or the local list that one which is meant. */
  images(): Promise<readonly PlacedImage[]>
  /** A manifest or an index, verified. @throws {UserError} `ERR_MANIFEST_INVALID`, `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH` */
  document(descriptor: Descriptor): Promise<Buffer>
  blob(descriptor: Descriptor): BlobSource
  /** Whether a blob is there; undefined where that would have to be asked for. */
  has?(descriptor: Descriptor): Promise<boolean>
  /** Of a place whose blobs come from elsewhere: refuses an image before anything of it is moved. */
  assertThere?(blobs: readonly Descriptor[]): Promise<void>
  /** Manifests that say something about another one: signatures, attestations. */
  referrers(subject: Descriptor): Promise<readonly Descriptor[]>
  close(): Promise<void>
}

/** A place that is written. Nothing of an image has its name there before `name`, and archives are not there before `commit`. */
export interface ImageTarget {
  readonly label: string
  /** @returns what became of it; `exists` where nothing had to be moved */
  putBlob(descriptor: Descriptor, source: BlobSource, options: PutOptions): Promise<TransferOutcome>
  /**
   * Everything that the manifest or index names has been put.
   * @param role default `part`; a `referrer` is named by nothing: where there is a list of images it is in it
   */
  putDocument(document: ImageDocument, role?: 'part' | 'referrer'): Promise<void>
  /** Gives an image its name, or several; the document is put with it. */
  name(document: ImageDocument): Promise<void>
  /** Ends it well. */
  commit(): Promise<void>
  /** Ends it after a fault; what has no name is removed. */
  abort(): Promise<void>
}

/** For {@link ImageTarget.putBlob}. */
export interface PutOptions {
  readonly signal?: AbortSignal | undefined
  readonly onBytes: (currentBytes: number) => void
  /** The repository that the blob is in. */
  readonly from?: ImageReference | undefined
}

/** What of an image is copied. */
export interface Selection {
  /**
   * `all`: the image as it is. One platform: the manifest of that one. Several: a new index of these, with their attestations.
   * Default `all`.
   */
  readonly platforms?: 'all' | readonly Platform[] | undefined
  /** Refuses an image that is for one platform only, and for another one than asked for. */
  readonly strict?: boolean | undefined
  /** With what says something about it: signatures, attestations that are kept beside it. */
  readonly referrers?: boolean | undefined
}
