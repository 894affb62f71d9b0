import { type RunInstruction } from '@tsbuild/dockerfile';
import type { StageBuilder } from './stage-builder.ts';
import { type StageState } from './stage-state.ts';
/**
 * Adds the step of a RUN.
 *
 * @throws {UserError} `ERR_ENTITLEMENT`, `ERR_PATH_INVALID`; see `addMounts`
 * @see spec/dockerfile.md 2
 */
export declare function addRun(builder: StageBuilder, state: StageState, instruction: RunInstruction): Promise<void>;
//# sourceMappingURL=run-instruction.d.ts.map