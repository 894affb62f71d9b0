import type { Readable } from 'node:stream'
import type { ImageComparison } from '@tsbuild/compare'
import type { Digest } from '@tsbuild/digest'
import type { BuildEvent, EventSink } from '@tsbuild/events'
import type { Finding } from '@tsbuild/fsck'
import type { Entitlement, Ulimit } from '@tsbuild/graph'
import type {
  BuildList,
  BuildRecord,
  BuildStep,
  HistoryLimits,
  LogChunk,
  ReadLogOptions,
} from '@tsbuild/history'
import type { Descriptor } from '@tsbuild/oci'
import type { CredentialProvider, RegistryHosts } from '@tsbuild/registry'
import type { CacheOpeners, CacheSource, CacheTarget } from '@tsbuild/remote-cache'
import type { AttestationSpecs, BuiltProvenance } from './attestations/attestation-types.ts'
import type { CompareImagesOptions } from './compare-images.ts'
import type { ExplainOptions, ExplainReport } from './explain-types.ts'
import type { ImageCalls } from './image-types.ts'
import type { AnnotationSpec, OutputSpec } from './output-types.ts'
import type { CheckReport, DoctorReport, OutlineReport, TargetsReport } from './report-types.ts'
import type { BootstrapOptions, FailedStep, RunImageOptions, ShellOptions, StepLimits } from './run-types.ts'
import type { KeyText, SignatureCalls } from './signature-types.ts'
import type { DiskUsageReport, PruneRequest, PruneResult, SpaceLimits } from './space-types.ts'

export type {
  Capability,
  CheckReport,
  CheckWarning,
  DoctorReport,
  OutlineReport,
  ReportSource,
  TargetsReport,
} from './report-types.ts'

/** Where a builder keeps its data and how it reaches the outside. Nothing is read from the environment. */
export interface BuilderOptions {
  /** The store: an absolute path, made with mode 0700 if missing. May be shared by any number of processes. */
  readonly root: string
  /** `tsbuild-helper`; found beside the packages where not given. Not to be removed: packagers rely on it. */
  readonly helperPath?: string | undefined
  /** The text of a docker `config.json`, for registry credentials. */
  readonly dockerConfig?: string | undefined
  /** PEM certificates that the builder's own downloads and every RUN step trust, for as long as they run. */
  readonly trustCa?: readonly string[] | undefined
  /** For registry credentials, instead of {@link BuilderOptions.dockerConfig}. */
  readonly credentials?: CredentialProvider | undefined
  /** Mirrors, locations, trust and certificates of registries. Called when the first one is asked, if any is. */
  readonly registryHosts?: (() => Promise<RegistryHosts>) | undefined
  /** Token servers that may see credentials though they are on another site than their registry. */
  readonly trustedRealms?: readonly string[] | undefined
  /** Registry hosts (`host[:port]`) reached over plain HTTP besides the loopback ones. */
  readonly insecureRegistries?: readonly string[] | undefined
  /** Registry answers; `PATH` for credential helpers; proxy settings. Only the named variables are read. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /**
   * The trust scope whose cache mounts are used: `main`, `pr/7`. What one scope writes no other reads, except that a new cache
   * mount of another scope starts as a copy of what `main` has. Default `main`. @see spec/security.md MNT-08
   */
  readonly scope?: string | undefined
  /** `none` gives up power-loss safety of the cache, for throw-away machines. Default `full`. */
  readonly durability?: 'full' | 'none' | undefined
  /** How much the store may take; builds collect what is beyond. @see docs/guide/disk-space.md */
  readonly space?: SpaceLimits | undefined
  /** How much history is kept. Default 100 builds, 30 days, 1 GiB; with no build at all nothing is written down. */
  readonly history?: Partial<HistoryLimits> | undefined
  /** A file of the user's that remembers the keys of cache-servers; undefined: every contact with one is the first. */
  readonly knownCacheServers?: string | undefined
  /** Other ways to reach caches than those of libs/remote-cache. */
  readonly cacheOpeners?: CacheOpeners | undefined
  /** Of the program, for the history of builds. */
  readonly version?: string | undefined
}

/** See `verify`. */
export interface VerifyOptions extends BuilderOptions {
  /** Mends what is damaged; without it nothing is written. */
  readonly repair?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  /** Called with each finding as soon as it is complete. */
  readonly onFinding?: ((finding: Finding) => void) | undefined
}

/** What to build. Names and defaults are those of `docker buildx build`. */
export interface BuildOptions {
  /**
   * The build context: a directory; a git repository (`https://host/repo.git#ref:subdir`); a URL of an archive or of a
   * Dockerfile; or `-` for {@link BuildOptions.stdin}, an archive or a Dockerfile. @see spec/dockerfile.md 1.7
   */
  readonly context: string
  /**
   * The Dockerfile: a path relative to the working directory `cwd`, or within the context where that is no directory; a URL;
   * `-` for `stdin`. Default `Dockerfile`, then `dockerfile`, in the context.
   */
  readonly dockerfile?: string | undefined
  /** What `-` stands for; read at most once. */
  readonly stdin?: Readable | undefined
  /**
   * `--build-context`: by name a directory, `docker-image://NAME`, `oci-layout://PATH[:TAG|@DIGEST]`, a git repository or a
   * URL. What no stage asks for is never loaded.
   */
  readonly buildContexts?: Readonly<Record<string, string>> | undefined
  /** `--secret`, by id; read when first wanted. */
  readonly secrets?: Readonly<Record<string, () => Promise<Uint8Array>>> | undefined
  /** `--ssh`, by id: an agent's socket, or private key files without a passphrase. */
  readonly ssh?: Readonly<Record<string, SshSource>> | undefined
  /** `--allow`. `network: 'host'` allows itself: it is the caller's own word. */
  readonly allow?: readonly Entitlement[] | undefined
  /** Limits of all steps together: `--memory`, `--cpus` and the like. */
  readonly limits?: StepLimits | undefined
  /** Limits of each step: `--resource`. */
  readonly stepLimits?: StepLimits | undefined
  /** `--ulimit`. */
  readonly ulimits?: readonly Ulimit[] | undefined
  /** `--shm-size`, in bytes. */
  readonly shmSizeBytes?: number | undefined
  /** `--cgroup-parent`. */
  readonly cgroupParent?: string | undefined
  /** `--security-opt`: less than Docker's capabilities; setuid programs give nothing. */
  readonly security?: 'minimal' | undefined
  readonly noNewPrivileges?: boolean | undefined
  /** `--userns=auto`: steps of root run in a user namespace. No effect as an ordinary user, who has one always. */
  readonly userns?: 'auto' | undefined
  /** `--timeout`: of the build and of each step. @throws `ERR_TIMEOUT` */
  readonly timeoutMs?: number | undefined
  readonly stepTimeoutMs?: number | undefined
  /** `--on-error`: run by the shell of a failed step where it failed, its output among the step's. */
  readonly onError?: string | undefined
  /** What relative paths are relative to; an absolute path. */
  readonly cwd: string
  /** `--target`: a stage name or index; default the last stage. */
  readonly target?: string | undefined
  /** `--build-arg`. */
  readonly buildArgs?: Readonly<Record<string, string>> | undefined
  /** `--tag`. */
  readonly tags?: readonly string[] | undefined
  /** `--label`. */
  readonly labels?: Readonly<Record<string, string>> | undefined
  /**
   * `--platform`: of Linux, each once; `local` and the default are the machine's own. Programs of others run where an
   * interpreter is registered. Several make an index, in this order.
   */
  readonly platforms?: readonly string[] | undefined
  /** `--no-cache`. */
  readonly noCache?: boolean | undefined
  /** `--no-cache-filter`: stage names. */
  readonly noCacheFilter?: readonly string[] | undefined
  /** `--cache-from`: all are asked, and what they have is put together step by step. */
  readonly cacheFrom?: readonly CacheSource[] | undefined
  /** `--cache-to`. */
  readonly cacheTo?: readonly CacheTarget[] | undefined
  /** `--cache-required`: a cache that cannot be read or written is an error, and not a warning. */
  readonly cacheRequired?: boolean | undefined
  /** `--pull`. */
  readonly pull?: boolean | undefined
  /** `--network`. */
  readonly network?: 'default' | 'none' | 'host' | undefined
  /** `--add-host`: `name:ip`. */
  readonly addHosts?: readonly string[] | undefined
  /** `--output`; default the local image list where there are tags, else the cache only. */
  readonly outputs?: readonly OutputSpec[] | undefined
  /** `--sign-by`: what is pushed is signed with this key, by its digest. @see docs/guide/signatures.md */
  readonly signBy?: KeyText | undefined
  /** `--allow`: what outputs may do. */
  readonly allowOutputs?: readonly OutputEntitlement[] | undefined
  /** `--attest`, `--provenance`, `--sbom`; default none. */
  readonly attestations?: AttestationSpecs | undefined
  /** `--annotation`: of every image. */
  readonly annotations?: readonly AnnotationSpec[] | undefined
}

/** What an output may only do when the caller of the build allows it: `local` with `mode=delete`. */
export type OutputEntitlement = 'buildx.local.delete'

/** What `--ssh` names. Absolute paths. */
export type SshSource =
  | { readonly kind: 'agent'; readonly socket: string }
  | { readonly kind: 'keys'; readonly paths: readonly string[] }

/** A running build. */
export interface BuildHandle {
  /** Names the build in logs and history. */
  readonly ref: string
  /** Every event from the start, in order; ends after `build.completed` or `build.failed`. May be read once. */
  readonly events: AsyncIterable<BuildEvent>
  /**
   * Resolves when every output is complete and durable.
   * @throws {UserError | EnvironmentError | InternalError} the first failure; `ERR_CANCELLED` after `cancel()`
   */
  readonly result: Promise<BuildResult>
  /** Ends running steps and gives up; safe to call more than once. */
  cancel(): void
}

/** What a build made. */
export interface BuildResult {
  readonly ref: string
  /** Of the manifest, or of the index of several; absent when no output needed an image. Of several forms that of the first. */
  readonly image?: Descriptor | undefined
  /** Of the image config, Docker's image id; absent when no output needed an image, or for several platforms. */
  readonly configDigest?: Digest | undefined
  /** The image of each platform, in the order asked for; empty when no output needed one. */
  readonly images: readonly BuiltImage[]
  /** Every name that an output gave the image, in full form. */
  readonly names: readonly string[]
  readonly tags: readonly string[]
  /** Of each platform, in the order asked for; empty where no provenance was. */
  readonly provenances?: readonly BuiltProvenance[] | undefined
  readonly steps: { readonly total: number; readonly cached: number; readonly executed: number }
}

/** See {@link BuildResult.images}. */
export interface BuiltImage {
  /** `linux/arm64` */
  readonly platform: string
  /** Of the manifest. */
  readonly descriptor: Descriptor
  readonly configDigest: Digest
}

/** One entry of the local image list. */
export interface LocalImage {
  /** In full form: `docker.io/library/hello:1.0`. */
  readonly name: string
  readonly descriptor: Descriptor
  readonly configDigest: Digest
  /** Sum of the layers as stored. */
  readonly sizeBytes: number
  /** RFC 3339. */
  readonly created: string | undefined
  /** `linux/amd64`; of a name for several images, all of theirs: `linux/amd64, linux/arm64`. */
  readonly platform: string
}

/** The composition root: one store, any number of builds. */
export interface Builder extends ImageCalls, SignatureCalls {
  build(
    options: BuildOptions & {
      readonly onEvent?: EventSink | undefined
      readonly signal?: AbortSignal | undefined
    },
  ): BuildHandle
  /** The local image list, by name. */
  images(): Promise<readonly LocalImage[]>
  /** Takes a name out of the local image list. @throws {UserError} `ERR_IMAGE_NOT_FOUND` */
  removeImage(name: string): Promise<void>
  /**
   * Runs the lint rules over a Dockerfile: over the target and what it needs, or over all stages where there is no target.
   * Nothing is built. Base images are looked for; one that cannot be asked for is no failure.
   *
   * @throws {UserError | EnvironmentError} what keeps the Dockerfile from being read, `ERR_DOCKERFILE_STAGE_NOT_FOUND`,
   *   `ERR_CANCELLED`; what is wrong in the Dockerfile is {@link CheckReport.error}
   * @see docs/reference/lint/README.md
   */
  check(options: CallOptions): Promise<CheckReport>
  /**
   * What a target can be given.
   * @throws {UserError} as `check`, and for a Dockerfile that cannot be parsed
   */
  outline(options: CallOptions): Promise<OutlineReport>
  /** The stages of a Dockerfile. @throws {UserError} as `outline` */
  targets(options: CallOptions): Promise<TargetsReport>
  /** Runs an image in a throw-away snapshot; resolves to the exit code. */
  runImage(options: RunImageOptions): Promise<number>
  /**
   * Opens a shell where a step failed, with its mounts and environment; what it changes is thrown away.
   * @returns the shell's exit code
   * @throws {UserError} `ERR_FAILURE_NOT_FOUND`; `ERR_ENTITLEMENT` for a step that had more than is allowed now
   */
  shell(options: ShellOptions): Promise<number>
  /** The failed steps that are kept, newest first: of each build one, of the store the newest five. */
  failures(): Promise<readonly FailedStep[]>
  /** What the store takes on its disk. @throws {UserError} `ERR_USAGE` for a filter that is none */
  diskUsage(request?: { readonly filters?: readonly string[] | undefined }): Promise<DiskUsageReport>
  /**
   * Removes what can be made again. What a build uses stays, and so do named images.
   * @throws {UserError} `ERR_USAGE` for a filter or time that is none, `ERR_CANCELLED`
   */
  prune(request?: PruneRequest): Promise<PruneResult>
  /** What is known of earlier builds, of this and other processes, and of those under way. */
  builds(): Promise<BuildList>
  /**
   * What is known of one build.
   * @param ref of it, or a beginning that no other has; `^1` for the one before the newest, and no ref for the newest
   * @throws {UserError} `ERR_BUILD_NOT_FOUND`
   */
  buildRecord(ref?: string): Promise<BuildRecord>
  /**
   * The comparison behind the miss of a step, as it was kept; undefined where there is none.
   * @throws {UserError} `ERR_BUILD_NOT_FOUND`, `ERR_STEP_NOT_FOUND`; see {@link Builder.buildLog}
   */
  buildExplanation(ref: string | undefined, step: string): Promise<unknown>
  /**
   * What the steps of a build wrote, in the order of the plan.
   * @param step its number, a beginning of its digest, or a part of its name; all steps with output where it is not given
   * @throws {UserError} `ERR_BUILD_NOT_FOUND`; `ERR_STEP_NOT_FOUND` for none, and for several where one is meant
   */
  buildLog(ref: string | undefined, step: string | undefined, options?: ReadLogOptions): Promise<BuildLog>
  /**
   * Takes builds out of the history. One that runs, or that somebody reads, stays.
   * @returns one answer for each, in order
   * @throws {UserError} `ERR_BUILD_NOT_FOUND`; nothing is removed then
   */
  removeBuilds(which: BuildSelection): Promise<readonly RemovedBuild[]>
  /** What differs between two images; see `compareImages` for errors. */
  compareImages(options: CompareImagesOptions): Promise<ImageComparison>
  /**
   * Says why the steps of a build had to run, where the others came from, what it read and what it sent.
   * @throws {UserError} `ERR_BUILD_NOT_FOUND`, `ERR_STEP_NOT_FOUND`
   */
  explain(options: ExplainOptions): Promise<ExplainReport>
  /** Makes a base image from the distribution's packages and stores it under its name. */
  bootstrap(options: BootstrapOptions): Promise<LocalImage>
  /** What this machine can do and lacks. */
  doctor(): Promise<DoctorReport>
  /** Waits for what must be durable and lets go of the store. */
  close(): Promise<void>
}

/** See {@link Builder.buildLog}. */
export interface BuildLog {
  readonly build: BuildRecord
  /** Each with what it wrote; to be read in order, or not at all. */
  readonly steps: readonly { readonly step: BuildStep; readonly chunks: AsyncIterable<LogChunk> }[]
}

/** See {@link Builder.removeBuilds}. */
export type BuildSelection =
  | { readonly refs: readonly string[] }
  | { readonly all: true }
  /** All that ended so long ago or earlier; those that cannot be read too. */
  | { readonly olderThanMs: number }

/** See {@link Builder.removeBuilds}. */
export interface RemovedBuild {
  readonly ref: string
  readonly removal: 'removed' | 'in-use' | 'gone'
}

/** What is asked of a Dockerfile without a build. Tags, labels and outputs count for nothing. */
export interface CallOptions extends BuildOptions {
  readonly signal?: AbortSignal | undefined
}
