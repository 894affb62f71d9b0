import type { AddInstruction, CopyInstruction } from '@tsbuild/dockerfile';
import type { StageBuilder } from './stage-builder.ts';
import { type StageState } from './stage-state.ts';
/**
 * Adds the step of a COPY or ADD. With `--link` it is a layer on nothing and a merge.
 *
 * @throws {UserError} `ERR_MODE_INVALID`, `ERR_PATH_INVALID`, see `addSources`
 * @see spec/dockerfile.md 3, docs/adr/0010-link-is-a-merge.md
 */
export declare function addCopy(builder: StageBuilder, state: StageState, instruction: CopyInstruction | AddInstruction): Promise<void>;
//# sourceMappingURL=copy-instruction.d.ts.map