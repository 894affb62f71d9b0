import type { Readable } from 'node:stream'
import type { ContentOf, VertexOf } from '@tsbuild/buildkit-cache'
import type { StepResult } from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import type { MergedGraph } from '@tsbuild/graph'
import type { Compression, LayerForm } from '@tsbuild/native'
import type { RegistryClient, RegistryClientOptions, RegistryHosts } from '@tsbuild/registry'
import type { CachedLayerRef, LayerRef } from '@tsbuild/snapshot'
import type { CacheRecord, PlannedStep, WantedRecord } from '@tsbuild/solver'
import type { Store, StoredLayer } from '@tsbuild/store'
import type { ServerAnswers } from './server/server-answers.ts'

/** `--cache-from`. An image with an inline cache is of type `registry`. @see spec/interface.md 5.3 */
export type CacheSource =
  | {
      readonly type: 'registry'
      /** In full form. */
      readonly ref: string
      readonly insecure?: boolean | undefined
    }
  | {
      readonly type: 'local'
      /** A directory, an OCI layout; absolute. */
      readonly src: string
      /** Default `latest`. */
      readonly tag?: string | undefined
      readonly digest?: Digest | undefined
    }
  | ({ readonly type: 'server' } & ServerPlace)

/** A cache-server and what is shown to it. */
export interface ServerPlace {
  /** `http://` or `https://`, with a base path or without. */
  readonly url: string
  /** A token, or how one is had. Undefined: nothing is shown. Never in a message. */
  readonly token?: (() => Promise<string>) | undefined
  /** What a CI job proves itself with: exchanged for a token at the first contact. Only where there is no {@link token}. */
  readonly identity?: CiIdentity | undefined
  /** Keys that may sign for scopes. Undefined: the server's own, as it was at the first contact. */
  readonly policy?: ServerKeys | undefined
  /** A token may be shown to it over plain HTTP, though it is another machine. */
  readonly insecure?: boolean | undefined
}

/** Who a CI job is, as its CI says it: an OIDC token, or where one is had. All of it is secret. */
export type CiIdentity =
  | {
      readonly provider: 'github'
      /** `ACTIONS_ID_TOKEN_REQUEST_URL` */
      readonly requestUrl: string
      /** `ACTIONS_ID_TOKEN_REQUEST_TOKEN` */
      readonly requestToken: string
    }
  /** A token that the job was given. */
  | { readonly provider: 'gitlab'; readonly idToken: string }

/** See {@link ServerPlace.policy}. */
export interface ServerKeys {
  /** A file with keys, one line each: `<scope glob> <base64 public key>`; absolute. */
  readonly file: string
}

/** What all of `--cache-to` have. */
export interface CacheTargetCommon {
  /** `min`: the steps whose layers are in the image; `max`: every step. Default `min`; `server`: `max`. */
  readonly mode?: 'min' | 'max' | undefined
  /** A failure is a warning. Default: it is one, unless the build says `cacheRequired`. */
  readonly ignoreError?: boolean | undefined
}

/** How layers are written that were not written in any form yet. */
export interface CacheLayerOptions {
  readonly compression?: Compression | undefined
  readonly forceCompression?: boolean | undefined
  /** Default true. */
  readonly ociMediaTypes?: boolean | undefined
  /** An image manifest rather than an index, which some registries refuse. Default true. */
  readonly imageManifest?: boolean | undefined
}

/** `--cache-to`. */
export type CacheTarget =
  | ({ readonly type: 'inline' } & CacheTargetCommon)
  | ({
      readonly type: 'registry'
      readonly ref: string
      readonly insecure?: boolean | undefined
    } & CacheTargetCommon &
      CacheLayerOptions)
  | ({
      readonly type: 'local'
      /** Absolute. */
      readonly dest: string
      readonly tag?: string | undefined
      /** Drops what this export does not name. */
      readonly reset?: boolean | undefined
    } & CacheTargetCommon &
      CacheLayerOptions)
  | ({ readonly type: 'server' } & ServerPlace & CacheTargetCommon & Pick<CacheLayerOptions, 'compression'>)

/** A record that a remote cache has, as the solver takes it. */
export interface FoundRecord {
  readonly keys: readonly Digest[]
  /** `stored` is a `CachedLayer` of libs/ops: brought back without anything being fetched. */
  readonly record: CacheRecord
}

/** One of `--cache-from`, opened. */
export interface CacheImporter {
  /** As shown to the user: `registry.example.com/app:cache`. */
  readonly name: string
  /**
   * Looks a whole graph up in as few requests as there can be: one.
   *
   * @param steps inputs before their readers
   * @param known what is known of keys already: a chain goes on over it
   * @throws whatever went wrong; the caller says it once, and asks no more
   */
  plan(
    steps: readonly PlannedStep[],
    known: (key: Digest) => CacheRecord | undefined,
    signal: AbortSignal,
  ): Promise<readonly FoundRecord[]>
  /** Looks keys up that only came to be known while steps ran: those by content of what a step made. */
  find(wanted: readonly WantedRecord[], signal: AbortSignal): Promise<readonly FoundRecord[]>
  /**
   * Brings the blob of a layer, from `offset`. The bytes are verified by the caller.
   * @returns undefined where it is not there any more
   */
  openBlob(
    layer: CachedLayerRef,
    blob: StoredLayer,
    offset: number,
    signal: AbortSignal,
  ): Promise<Readable | undefined>
  close(): Promise<void>
}

/** A step of this build for a cache: one that ran, or one that was found and may be missing elsewhere. */
export interface ExportedStep {
  readonly vertex: Digest
  readonly keys: readonly Digest[]
  readonly record: CacheRecord
  /** The layers of its result, lowest first; its own is the last. */
  readonly layers: readonly LayerRef[]
  /** Whether its layer is in an image of this build: those are all that `mode=min` exports. */
  readonly inImage: boolean
  /**
   * The form in which the outputs of this build have its layer, with the times that the step left: only so it is of use to a build of
   * another SOURCE_DATE_EPOCH. Undefined: no output has it.
   */
  readonly form: LayerForm | undefined
  /** The one with clamped times, where the outputs have that: an exporter sends both, so that a push of the image moves nothing. */
  readonly clamped?: LayerForm | undefined
  /** It was found in this very cache: an index that is written as a whole names it, and nothing of it has to be sent. */
  readonly isThere?: boolean | undefined
}

/** A layer's blob that can be read, from the store or on its way through from another cache. */
export interface ExportableBlob {
  readonly layer: StoredLayer
  /** Opens its bytes from an offset to the end. */
  readonly open: (offset: number) => Readable
  /** Where it is already, for a registry to mount it from: references in full form. */
  readonly places: readonly string[]
}

/** What exporters work with. */
export interface ExportTools {
  /** The layer in a form, made if need be; the one that was found where it came from another cache and no form is asked for. */
  blobOf(layer: LayerRef, form: LayerForm | undefined, signal: AbortSignal): Promise<ExportableBlob>
  readonly signal: AbortSignal
  /** Says a line about what is done. */
  readonly status: (line: string) => void
}

/** What back ends reach the outside with. */
export interface OpenTools {
  readonly store: Store
  /** @param insecureHosts besides those of the options; the same client for the same hosts */
  readonly registry: (insecureHosts?: readonly string[]) => RegistryClient
  /** Unix ms. */
  readonly now: () => number
  /** `tsbuild/0.1.0`. */
  readonly builder: string
  /** How a cache-server is reached: as registries are. */
  readonly network?:
    | (Pick<RegistryClientOptions, 'ca' | 'proxy' | 'insecureHosts'> &
        Partial<Pick<RegistryHosts, 'certificates'>>)
    | undefined
  /** A file of the user's that remembers keys of cache-servers; undefined: every contact is the first one. */
  readonly knownServers?: string | undefined
  /** What cache-servers of this build said already; undefined: each cache asks for itself. */
  readonly servers?: ServerAnswers | undefined
  /** The build fails without this cache: that it answers is found out also where nothing is wanted of it. */
  readonly required?: boolean | undefined
  /** Says a line about what is done. */
  readonly tell?: ((line: string) => void) | undefined
  /** Shows a warning about a cache that goes on being used. */
  readonly warn?: ((message: string) => void) | undefined
  /** What BuildKit's keys are made of; undefined while the build has no graph yet, or where nothing is shared with BuildKit. */
  readonly buildkit?: (() => BuildkitFacts | undefined) | undefined
}

/** What BuildKit's keys of a build are made of besides its steps. */
export interface BuildkitFacts {
  readonly vertexOf: VertexOf
  readonly contentOf: ContentOf
  /** `linux/amd64` */
  readonly platforms: readonly string[]
}

/** How caches are reached. */
export interface CacheOpeners {
  importer(source: CacheSource, tools: OpenTools): Promise<CacheImporter>
  exporter(target: CacheTarget, tools: OpenTools, using: ExportTools): Promise<CacheExporter>
}

/** One of `--cache-to`, opened. */
export interface CacheExporter {
  readonly name: string
  /**
   * A step can be exported: its layer is sent in the background while later steps run, at a pace that leaves them the machine.
   * Must not throw; what goes wrong is thrown by {@link finish}.
   */
  add(step: ExportedStep): void
  /** Waits for what is under way, and makes it found. */
  finish(build: FinishedBuild): Promise<ExportSummary>
  /** Gives up; nothing half is left under a name. */
  abort(): Promise<void>
}

/** See {@link CacheExporter.finish}. */
export interface FinishedBuild {
  readonly graph: MergedGraph
  /** Every step that was added, inputs before their readers. */
  readonly steps: readonly ExportedStep[]
}

/** What an export did, for the line that the user sees. */
export interface ExportSummary {
  readonly records: number
  readonly sentBlobs: number
  readonly sentBytes: number
  /** Blobs that were there already, or mounted. */
  readonly skippedBlobs: number
}

/** A line of the index that registries and directories hold beside BuildKit's records. */
export type IndexedResult = StepResult
