import type { Readable } from 'node:stream'
import type { DiffId, Digest } from '@tsbuild/digest'

/** Names a blob: what it is, its digest and its size. OCI image-spec descriptor.md. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** In bytes. */
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>> | undefined
  readonly platform?: Platform | undefined
  /** What the manifest behind it is about, where it is no image. */
  readonly artifactType?: string | undefined
}

/** OCI image-spec image-index.md, normalised: `arm64` has variant `v8` only where it was written. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string | undefined
  readonly osVersion?: string | undefined
}

/** OCI image manifest. */
export interface Manifest {
  readonly mediaType: string
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
  /** Of a manifest that is no image but says something about one: an attestation, a signature. */
  readonly artifactType?: string | undefined
  /** The manifest that this one says something about. A registry lists it among the referrers of that one. */
  readonly subject?: Descriptor | undefined
}

/** OCI image index. */
export interface Index {
  readonly mediaType: string
  readonly manifests: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
  readonly artifactType?: string | undefined
  readonly subject?: Descriptor | undefined
}

/** One line of an image's history. */
export interface HistoryEntry {
  /** RFC 3339. */
  readonly created?: string | undefined
  readonly createdBy?: string | undefined
  readonly author?: string | undefined
  readonly comment?: string | undefined
  readonly emptyLayer?: boolean | undefined
}

/** Docker's health check, durations in nanoseconds. */
export interface Healthcheck {
  readonly test?: readonly string[] | undefined
  readonly intervalNs?: number | undefined
  readonly timeoutNs?: number | undefined
  readonly startPeriodNs?: number | undefined
  readonly startIntervalNs?: number | undefined
  readonly retries?: number | undefined
}

/** What a container of the image runs with. */
export interface RuntimeConfig {
  readonly user?: string | undefined
  readonly exposedPorts?: readonly string[] | undefined
  /** `NAME=value`, in order. */
  readonly env?: readonly string[] | undefined
  readonly entrypoint?: readonly string[] | undefined
  readonly cmd?: readonly string[] | undefined
  readonly volumes?: readonly string[] | undefined
  readonly workingDir?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly stopSignal?: string | undefined
  readonly healthcheck?: Healthcheck | undefined
  readonly shell?: readonly string[] | undefined
  readonly onBuild?: readonly string[] | undefined
}

/** OCI image config with Docker's extensions. */
export interface ImageConfig {
  readonly created?: string | undefined
  readonly author?: string | undefined
  readonly platform: Platform
  readonly config: RuntimeConfig
  readonly diffIds: readonly DiffId[]
  readonly history: readonly HistoryEntry[]
}

/** Where an image is and which of its versions is meant, in full form: nothing is left to be defaulted. */
export interface ImageReference {
  /** Host with an optional port, for example `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly registry: string
  /** For example `library/debian`. */
  readonly repository: string
  readonly tag?: string | undefined
  readonly digest?: Digest | undefined
}

/** What {@link writeOciArchive} and {@link writeDockerArchive} write. */
export interface ArchiveImage {
  /** The image manifest, or the index of several. */
  readonly root: Descriptor
  /** Full names with a tag, for example `docker.io/library/app:1.0`. May be empty. */
  readonly names: readonly string[]
  /** Opens the bytes of a blob reachable from `root`. The writer reads it to its end or destroys it. */
  readonly open: (digest: Digest) => Readable | Promise<Readable>
}
