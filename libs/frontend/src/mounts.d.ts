import type { Digest } from '@tsbuild/digest';
import { type RunInstruction } from '@tsbuild/dockerfile';
import type { ExecMount } from '@tsbuild/graph';
import type { StageBuilder } from './stage-builder.ts';
import type { StageState } from './stage-state.ts';
/** The mounts of a RUN, and the vertices that they read. */
export interface ExecMounts {
    /** Parents before what lies in them; no two have one target. */
    readonly mounts: readonly ExecMount[];
    /** Each has one reader among the mounts. */
    readonly inputs: readonly Digest[];
}
/**
 * Reads the mounts of a RUN and adds the vertices whose files they show. All mounts are read by their own rules first, so that a
 * mistake in one is said before anything is asked for.
 *
 * @param firstInput the index that the first of the inputs will have
 * @throws {UserError} `ERR_DOCKERFILE_MOUNT_OPTION`, `ERR_DOCKERFILE_EXPANSION`; see `mountedFiles`
 * @see spec/dockerfile.md 2.1
 */
export declare function addMounts(builder: StageBuilder, state: StageState, instruction: RunInstruction, firstInput: number): Promise<ExecMounts>;
//# sourceMappingURL=mounts.d.ts.map