import type { Digest } from '@tsbuild/digest'
import type { Dockerfile } from '@tsbuild/dockerfile'
import type { SourceRange } from '@tsbuild/errors'
import type { ExtraHost, Graph, ImageLayer } from '@tsbuild/graph'
import type { HistoryEntry, ImageConfig, Platform, RuntimeConfig } from '@tsbuild/oci'

/** What a `FROM` or `--from` image turned out to be. */
export interface ResolvedImage {
  /** In full form. */
  readonly reference: string
  /** Of the manifest for the platform. */
  readonly manifest: Digest
  /** Lowest first. */
  readonly layers: readonly ImageLayer[]
  readonly config: ImageConfig
}

/** Finds an image. @throws {UserError} `ERR_IMAGE_NOT_FOUND`, `ERR_REFERENCE_INVALID` */
export type ImageResolver = (reference: string, platform: Platform) => Promise<ResolvedImage>

/** What a Dockerfile is turned into a graph with. */
export interface FrontendOptions {
  readonly dockerfile: Dockerfile
  readonly target: string | undefined
  readonly buildArgs: Readonly<Record<string, string>>
  /** `--label`: put on last. */
  readonly labels: Readonly<Record<string, string>>
  /** What is built for, and what this machine is. */
  readonly platform: Platform
  readonly buildPlatform: Platform
  /** `true`: every step; a list: the steps of these stages, names without case. */
  readonly noCache: boolean | readonly string[]
  readonly network: 'default' | 'none' | 'host'
  readonly extraHosts: readonly ExtraHost[]
  readonly resolveImage: ImageResolver
  readonly warn: (warning: FrontendWarning) => void
}

/** A notice that does not stop the build. */
export interface FrontendWarning {
  readonly rule: string
  readonly message: string
  readonly source: SourceRange | null
}

/** A Dockerfile's target as a graph, and what its image is to be. */
export interface FrontendResult {
  readonly graph: Graph
  readonly image: ImageDraft
  /** Proxy variables given as build arguments, for every RUN and in no key; a variable of the step itself comes first. */
  readonly proxyEnv: readonly string[]
}

/** An image config without what only the finished layers tell: diffIds and times. */
export interface ImageDraft {
  readonly platform: Platform
  readonly author: string | undefined
  readonly config: RuntimeConfig
  /** History of the base image, made to agree with its layers. */
  readonly baseHistory: readonly HistoryEntry[]
  /** When the base was made, RFC 3339. */
  readonly baseCreated: string | undefined
  /** What this build adds; entries with a layer and layers of the graph above the base correspond in order. */
  readonly history: readonly HistoryDraft[]
}

/** One history entry to be. */
export interface HistoryDraft {
  readonly createdBy: string
  readonly emptyLayer: boolean
}
