import type { Digest } from '@tsbuild/digest';
import { type Stage } from '@tsbuild/dockerfile';
import { type SourceRange } from '@tsbuild/errors';
import { type Platform } from '@tsbuild/oci';
import type { FoundContext } from './named-contexts.ts';
import type { StageBuilder } from './stage-builder.ts';
import type { StageState } from './stage-state.ts';
import type { ResolvedImage } from './types.ts';
/** What a stage begins with. */
export type Base = {
    readonly platform: Platform;
} & ({
    readonly kind: 'empty';
} | {
    readonly kind: 'stage';
    readonly state: StageState;
} | {
    readonly kind: 'image';
    readonly image: ResolvedImage;
}
/** The files of a named context. */
 | {
    readonly kind: 'files';
    readonly name: string;
    readonly files: Digest;
});
/**
 * Finds what FROM names: an earlier stage, a named context, nothing (`scratch`) or an image.
 *
 * @throws {UserError} `ERR_REFERENCE_INVALID` for a name that expands to nothing, `ERR_PLATFORM_INVALID`,
 *   `ERR_IMAGE_NOT_FOUND`
 * @see spec/dockerfile.md 1.2, 1.6, 1.7
 */
export declare function resolveBase(builder: StageBuilder, stage: Stage): Promise<Base>;
/** A stage of this name is not built: the context stands in its place, as it is. */
export declare function replacedStage(builder: StageBuilder, stage: Stage): Promise<Base | undefined>;
/** The named context that stands in the place of a stage. */
export declare function findReplacement(builder: StageBuilder, stage: Stage, platform?: Platform): FoundContext | undefined;
/** The file system of a named context as a source; undefined is empty. */
export declare function addContext(builder: StageBuilder, { name, context }: FoundContext, platform: Platform, source: SourceRange): Promise<Digest | undefined>;
/** The build context, or what is given in its place; undefined is empty. */
export declare function addMainContext(builder: StageBuilder, source: SourceRange): Promise<Digest | undefined>;
/**
 * The vertex of an image; undefined for one without layers, which is an empty file system.
 * @param title as shown to the user; FROM and the image, if not given
 */
export declare function addImage({ graph }: StageBuilder, { reference, manifest, layers }: ResolvedImage, source: SourceRange, title?: string): Digest | undefined;
/** How the step of a base image is called. */
export declare function imageTitle({ reference, manifest }: Pick<ResolvedImage, 'reference' | 'manifest'>): string;
/** Expands a word of FROM. @throws {UserError} `ERR_DOCKERFILE_EXPANSION` */
export declare function expandGlobally({ globals, options }: StageBuilder, word: string, source: SourceRange): string;
/** That of `FROM --platform`, else of the build. @throws {UserError} `ERR_PLATFORM_INVALID` */
export declare function platformOf(builder: StageBuilder, { from }: Stage): Platform;
/** An image that a Dockerfile names, and where. */
export interface WantedImage {
    readonly name: string;
    readonly platform: Platform;
    readonly reader: Stage;
    readonly source: SourceRange;
}
/**
 * Asks for an image; a stage that could have been meant is a hint.
 *
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND`, `ERR_REFERENCE_INVALID`
 */
export declare function resolveImage({ options }: StageBuilder, wanted: WantedImage): Promise<ResolvedImage>;
//# sourceMappingURL=base.d.ts.map