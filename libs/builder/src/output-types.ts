import type { Writable } from 'node:stream'

/** One `--output`. What is undefined is as by default. @see docs/reference/outputs.md */
export type OutputSpec =
  | ImageOutput
  | ArchiveOutput
  | EngineOutput
  | DirectoryOutput
  | TarOutput
  | CacheOnlyOutput

/** Outputs that are images. */
export type ImageLikeOutput = ImageOutput | ArchiveOutput | EngineOutput

/** The local image list, a registry, or both. */
export interface ImageOutput extends ImageSettings {
  readonly type: 'image' | 'registry'
  /** To every name of the output. Default true for `registry`. */
  readonly push?: boolean | undefined
  /** Into the local image list. Default true for `image`. */
  readonly store?: boolean | undefined
  /** A push under the digest alone: the names are repositories. */
  readonly pushByDigest?: boolean | undefined
  /** The registries of this output may be spoken to in plain HTTP, or with a certificate that proves nothing. */
  readonly insecure?: boolean | undefined
  /** Each name is set a second time, as `name@digest`. */
  readonly nameCanonical?: boolean | undefined
  /** An image without a name is called `prefix@digest`. */
  readonly danglingNamePrefix?: string | undefined
  /** With a prefix: only where there is no name. Without it such a name is set beside the others. */
  readonly danglingNameEmptyOnly?: boolean | undefined
}

/** An OCI layout or a docker-load archive: a file written under a temporary name and renamed, a stream, or a directory. */
export interface ArchiveOutput extends ImageSettings {
  readonly type: 'oci' | 'docker'
  readonly dest: string | Writable
  /** `false`: `dest` is the directory of a layout, added to if it is one already. Default true. */
  readonly tar?: boolean | undefined
}

/** A running Docker or podman: `--load`. @see docs/reference/engines.md */
export interface EngineOutput extends ImageSettings {
  readonly type: 'engine'
  /** A docker context; default what DOCKER_HOST and docker's configuration say, else the usual sockets. */
  readonly context?: string | undefined
}

/** The files of the result. */
export interface DirectoryOutput extends FileSettings {
  readonly type: 'local'
  /** Made if missing. */
  readonly dest: string
  /** `delete`: what is there and not in the result is removed; needs `allowOutputs`. Default `copy`. */
  readonly mode?: 'copy' | 'delete' | undefined
}

/** The files of the result as a tar file or stream. */
export interface TarOutput extends FileSettings {
  readonly type: 'tar'
  readonly dest: string | Writable
}

/** Nothing but the cache. */
export interface CacheOnlyOutput {
  readonly type: 'cacheonly'
}

/** What outputs of files have in common. */
export interface FileSettings {
  /** A directory for each platform: `linux_amd64`. Default: where there are several. */
  readonly platformSplit?: boolean | undefined
  /** Before the names of the files that attestations become. */
  readonly attestationPrefix?: string | undefined
  /** Unix seconds: of what the output itself adds; null is none. Default: that of the build. */
  readonly sourceDateEpoch?: number | null | undefined
}

/** What outputs of images have in common. */
export interface ImageSettings {
  /** Default: the build's tags. */
  readonly names?: readonly string[] | undefined
  readonly compression?: CompressionSpec | undefined
  /** Layers of base images are compressed so, too. */
  readonly forceCompression?: boolean | undefined
  /** `false`: Docker's media types. Default true, and false where {@link ImageSettings.compatibilityVersion} is below 30. */
  readonly ociMediaTypes?: boolean | undefined
  /** Attestations in the form of OCI artifacts. */
  readonly ociArtifact?: boolean | undefined
  /** Attestations that are only to stand beside other results are stored with the image. */
  readonly attestationInline?: boolean | undefined
  /** Layers that must not be distributed keep the media type that says so. */
  readonly preferNonDistributable?: boolean | undefined
  /**
   * Times in layers of this build that are later than the source date epoch, and those that were taken from a clock, become it.
   * Default: true where there is one.
   */
  readonly rewriteTimestamp?: boolean | undefined
  /** Unix seconds, of config and history; null is none. Default: that of the build. */
  readonly sourceDateEpoch?: number | null | undefined
  /** Besides those of the build; those of the output win. */
  readonly annotations?: readonly AnnotationSpec[] | undefined
  /** The BuildKit release generation whose defaults hold. Default 30. */
  readonly compatibilityVersion?: 10 | 20 | 30 | undefined
}

/** Where an annotation stands: in a manifest, in the index, or on a descriptor of one. */
export type AnnotationLevel = 'manifest' | 'index' | 'manifest-descriptor' | 'index-descriptor'

/** One `--annotation`. */
export interface AnnotationSpec {
  readonly level: AnnotationLevel
  /** Only for the image of this platform. */
  readonly platform?: string | undefined
  readonly key: string
  readonly value: string
}

/** How layers made by this build are compressed. */
export interface CompressionSpec {
  readonly type: 'gzip' | 'zstd' | 'estargz' | 'uncompressed'
  readonly level?: number | undefined
}
