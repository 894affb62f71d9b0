import type { Digest } from '@tsbuild/digest';
import type { Dockerfile } from '@tsbuild/dockerfile';
import type { SourceRange } from '@tsbuild/errors';
import type { Entitlement, ExtraHost, GitOp, Graph, HttpOp, ImageLayer, Ulimit } from '@tsbuild/graph';
import type { HistoryEntry, ImageConfig, Platform, RuntimeConfig } from '@tsbuild/oci';
/** What a `FROM` or `--from` image turned out to be. */
export interface ResolvedImage {
    /** In full form. */
    readonly reference: string;
    /** Of the manifest for the platform. */
    readonly manifest: Digest;
    /** Lowest first. */
    readonly layers: readonly ImageLayer[];
    readonly config: ImageConfig;
}
/**
 * Finds an image.
 * @param reference a name, or `oci-layout://PATH[:TAG|@DIGEST]` from a named context
 * @param signal aborted when the answer is not wanted any more
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND`, `ERR_REFERENCE_INVALID`
 */
export type ImageResolver = (reference: string, platform: Platform, signal?: AbortSignal) => Promise<ResolvedImage>;
/** What a Dockerfile is turned into a graph with. */
export interface FrontendOptions {
    readonly dockerfile: Dockerfile;
    readonly target: string | undefined;
    readonly buildArgs: Readonly<Record<string, string>>;
    /** `--label`: put on last. */
    readonly labels: Readonly<Record<string, string>>;
    /** What is built for, and what this machine is. */
    readonly platform: Platform;
    readonly buildPlatform: Platform;
    /** The image is one of several: steps say for which platform they are. */
    readonly isOneOfSeveral: boolean;
    /** `true`: every step; a list: the steps of these stages, names without case. */
    readonly noCache: boolean | readonly string[];
    readonly network: 'default' | 'none' | 'host';
    readonly extraHosts: readonly ExtraHost[];
    /** What steps may ask for: `--allow`. */
    readonly allow: readonly Entitlement[];
    readonly ulimits: readonly Ulimit[];
    readonly shmSizeBytes: number | undefined;
    readonly cgroupParent: string | undefined;
    readonly resolveImage: ImageResolver;
    /** `--build-context`, by name as given: `base`, `base:1.0`, `base::linux/arm64`. `context` replaces the build context. */
    readonly namedContexts: ReadonlyMap<string, NamedContext>;
    /** Facts about the build context that are only asked for where they matter. */
    readonly context: ContextFacts;
    readonly warn: (warning: FrontendWarning) => void;
}
/** What stands behind a named context. @see spec/dockerfile.md 1.7 */
export type NamedContext = 
/** `docker-image://` and `oci-layout://`: what {@link ImageResolver} takes. */
{
    readonly kind: 'image';
    readonly reference: string;
}
/** Files: a directory, a repository, a URL; loaded by the vertex `local` of this name. */
 | {
    readonly kind: 'files';
};
/** See {@link FrontendOptions.context}. */
export interface ContextFacts {
    /**
     * `SOURCE_DATE_EPOCH=context`: Unix seconds of the commit, the Last-Modified or the newest entry; undefined for a
     * directory. @param name `context` or a named context
     */
    sourceDate(name: string): Promise<number | undefined>;
    /** The same for what the only ADD of a source-only stage names: the commit's time, or Last-Modified. */
    remoteDate(source: HttpOp | GitOp): Promise<number | undefined>;
    /** The rule that hides a path from COPY, as `.dockerignore:3`; undefined if none does. */
    hiddenBy(path: string): Promise<string | undefined>;
}
/** A notice that does not stop the build. */
export interface FrontendWarning {
    readonly rule: string;
    readonly message: string;
    readonly source: SourceRange | null;
}
/** A Dockerfile's target as a graph, and what its image is to be. */
export interface FrontendResult {
    readonly graph: Graph;
    readonly image: ImageDraft;
    /** Unix seconds, where the Dockerfile or a build argument says so. */
    readonly sourceDateEpoch: number | undefined;
    /** Proxy variables given as build arguments, for every RUN and in no key; a variable of the step itself comes first. */
    readonly proxyEnv: readonly string[];
}
/** An image config without what only the finished layers tell: diffIds and times. */
export interface ImageDraft {
    readonly platform: Platform;
    readonly author: string | undefined;
    readonly config: RuntimeConfig;
    /** History of the base image, made to agree with its layers. */
    readonly baseHistory: readonly HistoryEntry[];
    /** When the base was made, RFC 3339. */
    readonly baseCreated: string | undefined;
    /** What this build adds; entries with a layer and layers of the graph above the base correspond in order. */
    readonly history: readonly HistoryDraft[];
}
/** One history entry to be. */
export interface HistoryDraft {
    readonly createdBy: string;
    readonly emptyLayer: boolean;
}
//# sourceMappingURL=types.d.ts.map