import type { Digest } from '@tsbuild/digest';
import type { AddInstruction, CopyInstruction } from '@tsbuild/dockerfile';
import type { StageBuilder } from './stage-builder.ts';
import type { StageState } from './stage-state.ts';
/** Sources of a COPY or ADD that stand side by side and come from one file system: one action. */
export interface SourceGroup {
    readonly input: Digest;
    readonly sources: readonly string[];
    readonly unpack: boolean;
}
/**
 * Adds the vertices that a COPY or ADD reads and says what it takes from each, in the order of its words.
 *
 * @param words the sources, variables expanded
 * @param checksum that of ADD, expanded
 * @throws {UserError} see `remoteSource`; `ERR_DOCKERFILE_SYNTAX`, `ERR_COPY_SOURCE_NOT_FOUND`
 */
export declare function addSources(builder: StageBuilder, state: StageState, instruction: CopyInstruction | AddInstruction, { words, checksum }: {
    readonly words: readonly string[];
    readonly checksum: string | undefined;
}): Promise<readonly SourceGroup[]>;
//# sourceMappingURL=copy-sources.d.ts.map