import { type Platform } from '@tsbuild/oci';
import type { NamedContext } from './types.ts';
/** A named context that answers a name. */
export interface FoundContext {
    /** As given to the build; names the vertex that loads its files. */
    readonly name: string;
    readonly context: NamedContext;
}
/** Named contexts by what a Dockerfile may call them. */
export interface NamedContexts {
    /**
     * What stands in the place of a stage or an image. One given for the platform comes first. `scratch` and `context` are
     * never replaced.
     */
    find(name: string, platform: Platform): FoundContext | undefined;
    /** What replaces the build context. */
    readonly main: FoundContext | undefined;
}
/**
 * Sorts named contexts by name: `alpine`, `alpine:latest` and `docker.io/library/alpine` are one.
 *
 * @throws {UserError} `ERR_PLATFORM_INVALID` for a name with a malformed `::platform`
 * @see spec/dockerfile.md 1.7
 */
export declare function createNamedContexts(given: ReadonlyMap<string, NamedContext>): NamedContexts;
//# sourceMappingURL=named-contexts.d.ts.map