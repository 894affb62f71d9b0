import type { ExecOp, FileAction, FileOp, Vertex } from '@tsbuild/graph';
import { type HistoryEntry, type Platform, type RuntimeConfig } from '@tsbuild/oci';
import type { ContextFacts, FrontendOptions, FrontendResult, FrontendWarning, ImageResolver } from '../types.ts';
/** An image of the registry in memory. */
export interface TestImage {
    readonly config?: RuntimeConfig;
    /** How many layers it has; 1 if not said. */
    readonly layers?: number;
    readonly history?: readonly HistoryEntry[];
    readonly author?: string;
    readonly created?: string;
    /** What its config says; the platform that is asked for, if not said. */
    readonly platform?: Platform;
}
/** What {@link convertText} was asked for and gave. */
export interface Converted extends FrontendResult {
    readonly warnings: readonly FrontendWarning[];
    /** `name platform` of each image that was resolved, in order. */
    readonly requests: readonly string[];
}
/** Options of {@link convertText}; what is left out is empty, `linux/amd64` and the default network. */
export interface ConvertOptions extends Partial<Omit<FrontendOptions, 'dockerfile' | 'resolveImage' | 'warn'>> {
    /** By the name that the Dockerfile uses; `base` with one layer is always there. */
    readonly images?: Readonly<Record<string, TestImage>>;
}
/** Parses the text and turns it into a graph, over images in memory. @param warnings filled also where that fails */
export declare function convertText(text: string, options?: ConvertOptions, warnings?: FrontendWarning[]): Promise<Converted>;
/** Parses the text and turns it into a graph, over images of the caller's own making. */
export declare function convertWith(text: string, resolveImage: ImageResolver, options?: Partial<FrontendOptions>): Promise<FrontendResult>;
/** A context whose date nobody knows and that hides nothing, but for what is said otherwise. */
export declare function contextOf(facts?: Partial<ContextFacts>): ContextFacts;
/** Names of the graph's vertices, inputs first. */
export declare const namesOf: ({ graph }: FrontendResult) => readonly string[];
/** The RUN steps in order. */
export declare const execsOf: ({ graph }: FrontendResult) => readonly ExecOp[];
/** The COPY, ADD and WORKDIR steps in order. */
export declare const filesOf: ({ graph }: FrontendResult) => readonly FileOp[];
/** What the only file step does. */
export declare const actionsOf: (result: FrontendResult) => readonly FileAction[];
/** The vertex whose name ends with `text`. */
export declare function vertexOf({ graph }: FrontendResult, text: string): Vertex;
/** `createdBy` of what the build adds, with `-` in front where there is no layer. */
export declare const historyOf: ({ image }: FrontendResult) => readonly string[];
//# sourceMappingURL=convert-text.d.ts.map