import type { Readable, Writable } from 'node:stream'
import type { Digest } from '@tsbuild/digest'
import type { EventSink } from '@tsbuild/events'
import type { Descriptor, HistoryEntry, RuntimeConfig } from '@tsbuild/oci'

/** What every call about images can be given. */
export interface ImageCallOptions {
  /** Every event of it: what is moved, as statuses of one vertex. */
  readonly onEvent?: EventSink | undefined
  readonly signal?: AbortSignal | undefined
}

/** `tsbuild pull`. */
export interface PullOptions extends ImageCallOptions {
  readonly name: string
  /** `linux/arm64` and the like; `all` keeps the index. Default: the machine's own. */
  readonly platforms?: 'all' | readonly string[] | undefined
  /** With signatures and attestations that are kept beside it. */
  readonly referrers?: boolean | undefined
}

/** `tsbuild push`. */
export interface PushOptions extends ImageCallOptions {
  /** A local name, which is also the place that it goes to. */
  readonly name: string
  /** Every local name of the repository; `name` has no tag then. */
  readonly allTags?: boolean | undefined
  /** Of an index: only this one. Default: all of it. */
  readonly platform?: string | undefined
  readonly referrers?: boolean | undefined
}

/** An image that was pulled or pushed. */
export interface MovedImage {
  /** In full form. */
  readonly name: string
  readonly descriptor: Descriptor
  /** Whether anything had to be moved, or the name is another image's now. */
  readonly changed: boolean
}

/** `tsbuild copy`. */
export interface CopyImageOptions extends ImageCallOptions {
  /** Places as skopeo writes them: `docker://REF` or `REF`, `store:NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`, `-`. */
  readonly from: string
  readonly to: string
  /** As {@link PullOptions.platforms}. Default `all`. */
  readonly platforms?: 'all' | readonly string[] | undefined
  readonly referrers?: boolean | undefined
  /** What relative paths are relative to; an absolute path. */
  readonly cwd: string
  /** What `-` stands for. */
  readonly stdin?: Readable | undefined
  readonly stdout?: Writable | undefined
}

/** What `tsbuild copy` copied. */
export interface CopyReport {
  /** Of the image in its new place. */
  readonly descriptor: Descriptor
  readonly moved: boolean
  readonly referrers: number
}

/** `tsbuild save`. */
export interface SaveImagesOptions extends ImageCallOptions {
  readonly names: readonly string[]
  readonly format: 'oci' | 'docker'
  /** A path, or `-` for `stdout`. */
  readonly output: string
  readonly platforms?: readonly string[] | undefined
  readonly referrers?: boolean | undefined
  readonly cwd: string
  readonly stdout?: Writable | undefined
}

/** `tsbuild load`. */
export interface LoadImagesOptions extends ImageCallOptions {
  /** A path, or `-` for `stdin`. */
  readonly input: string
  readonly platforms?: readonly string[] | undefined
  readonly cwd: string
  readonly stdin?: Readable | undefined
}

/** An image that was loaded. */
export interface LoadedImage {
  /** In full form; empty for an image without a name. */
  readonly names: readonly string[]
  readonly descriptor: Descriptor
}

/** `tsbuild images`. */
export interface ListImagesOptions {
  /**
   * `reference=PATTERN`, `label=NAME[=VALUE]`, `dangling=true|false`, `before=IMAGE`, `since=IMAGE`. Those of one name are
   * alternatives, except for labels; an image must match every name.
   */
  readonly filters?: readonly string[] | undefined
  /** Images without a name too. */
  readonly all?: boolean | undefined
}

/** One line of `tsbuild images`. */
export interface ListedImage {
  /** In full form; undefined for one without a name. */
  readonly name: string | undefined
  readonly descriptor: Descriptor
  /** Docker's image id; of several platforms that of the machine's own, else of the first. Undefined where it cannot be read. */
  readonly configDigest: Digest | undefined
  /** Sum of that one's layers as stored. */
  readonly sizeBytes: number
  /** RFC 3339. */
  readonly created: string | undefined
  /** `linux/amd64, linux/arm64` */
  readonly platform: string
  readonly platforms: readonly string[]
  readonly labels: Readonly<Record<string, string>>
}

/** `tsbuild rmi`. */
export interface RemoveImagesOptions {
  /** Names, ids, or the beginning of one. */
  readonly names: readonly string[]
  /** Takes all names of an id away, and passes over what is not there. */
  readonly force?: boolean | undefined
}

/** What became of one line of the list. */
export interface RemovedImage {
  /** In full form; undefined for one that had no name. */
  readonly name: string | undefined
  readonly digest: Digest
  /** Whether that was the last of it in the list. */
  readonly last: boolean
}

/** `tsbuild inspect`. */
export interface InspectOptions extends ImageCallOptions {
  /** A local name or id, then a name of a registry; or a place, see {@link CopyImageOptions.from}. */
  readonly image: string
  /** Not the local one. */
  readonly remote?: boolean | undefined
  readonly platform?: string | undefined
  readonly cwd: string
  readonly stdin?: Readable | undefined
}

/** What is known of an image without its files. */
export interface ImageReport {
  /** Where it was found, as a place. */
  readonly place: string
  /** In full form; those of the local list. */
  readonly names: readonly string[]
  /** Of the manifest, or of the index. */
  readonly digest: Digest
  readonly mediaType: string
  readonly annotations: Readonly<Record<string, string>>
  readonly artifactType?: string | undefined
  /** What an index names besides attestations; empty for a manifest. */
  readonly manifests: readonly ManifestReport[]
  readonly attestations: readonly AttestationReport[]
  /** Of the chosen platform, or undefined for what is no image. */
  readonly image?: PlatformReport | undefined
}

/** An entry of an index. */
export interface ManifestReport {
  readonly digest: Digest
  readonly mediaType: string
  readonly sizeBytes: number
  readonly platform?: string | undefined
  readonly annotations: Readonly<Record<string, string>>
}

/** Something that is said about an image. */
export interface AttestationReport {
  readonly digest: Digest
  /** Its kind: an artifact type, or that of BuildKit's attestations. */
  readonly type: string
  /** The manifest that it is about. */
  readonly subject: Digest | undefined
  /** In the index, or beside the image. */
  readonly kept: 'index' | 'referrer'
}

/** The image of one platform. */
export interface PlatformReport {
  /** Of the config: Docker's image id. */
  readonly id: Digest
  readonly manifest: Digest
  readonly manifestAnnotations: Readonly<Record<string, string>>
  /** `linux/arm/v7` */
  readonly platform: string
  readonly os: string
  readonly architecture: string
  readonly variant: string | undefined
  /** RFC 3339. */
  readonly created: string | undefined
  readonly author: string | undefined
  readonly config: RuntimeConfig
  readonly layers: readonly LayerReport[]
  readonly history: readonly HistoryEntry[]
  /** Sum of the layers as stored. */
  readonly sizeBytes: number
}

/** A layer, lowest first. */
export interface LayerReport {
  readonly digest: Digest
  readonly diffId: string
  readonly mediaType: string
  readonly sizeBytes: number
  /** The instruction that made it, where the history says. */
  readonly createdBy: string | undefined
  readonly annotations: Readonly<Record<string, string>>
}

/** What `tsbuild inspect` found, and the documents themselves. */
export interface Inspection {
  readonly report: ImageReport
  /** The manifest or the index. */
  readonly raw: Buffer
  /** Of the chosen platform. */
  readonly config: Buffer | undefined
}

/** `tsbuild index create`. */
export interface CreateIndexOptions extends ImageCallOptions {
  /** Where it is to be; only a dry run does without. */
  readonly names: readonly string[]
  /** Names or places of images. */
  readonly sources: readonly string[]
  /** JSON texts of descriptors, of manifests that the first name's repository has. */
  readonly descriptors?: readonly string[] | undefined
  /** `[index:|manifest-descriptor[PLATFORM]:]NAME=VALUE` */
  readonly annotations?: readonly string[] | undefined
  readonly append?: boolean | undefined
  readonly preferIndex?: boolean | undefined
  readonly dryRun?: boolean | undefined
  readonly cwd: string
}

/** An index that was made, or would be. */
export interface CreatedIndex {
  readonly descriptor: Descriptor
  readonly raw: Buffer
}

/** The calls about images that exist. */
export interface ImageCalls {
  /**
   * Brings an image of a registry into the local image list, under its name. Of an index the manifest of one platform is kept unless
   * more are asked for.
   * @throws {UserError} `ERR_IMAGE_NOT_FOUND`, also for a platform that it is not for; what registries throw
   */
  pullImage(options: PullOptions): Promise<MovedImage>
  /** Sends local images to the registries that their names say. @throws {UserError} `ERR_IMAGE_NOT_FOUND` */
  pushImage(options: PushOptions): Promise<readonly MovedImage[]>
  /** Copies an image from one place to another; see `copyImage` of `@tsbuild/transfer`. */
  copyImage(options: CopyImageOptions): Promise<CopyReport>
  /** Gives a local image one more name, or a name to another one. @returns the name in full form @throws {UserError} `ERR_IMAGE_NOT_FOUND` */
  tagImage(source: string, target: string): Promise<string>
  /** The local image list. @throws {UserError} `ERR_USAGE` for a filter that is none */
  listImages(options?: ListImagesOptions): Promise<readonly ListedImage[]>
  /**
   * Takes names out of the local image list. What nothing needs any more goes with the next prune.
   * @throws {UserError} `ERR_IMAGE_NOT_FOUND`; `ERR_USAGE` for an id that has several names, without `force`. Nothing is removed then
   */
  removeImages(options: RemoveImagesOptions): Promise<readonly RemovedImage[]>
  /** Writes local images into one archive. @throws as `copyImage` */
  saveImages(options: SaveImagesOptions): Promise<readonly Descriptor[]>
  /** Brings the images of an archive into the local image list. @throws as `copyImage` */
  loadImages(options: LoadImagesOptions): Promise<readonly LoadedImage[]>
  /** Says what is known of an image without fetching a layer. @throws as `copyImage` */
  inspectImage(options: InspectOptions): Promise<Inspection>
  /** Makes an index in a registry of images that exist. @throws {UserError} `ERR_USAGE`; what registries throw */
  createIndex(options: CreateIndexOptions): Promise<CreatedIndex>
}
