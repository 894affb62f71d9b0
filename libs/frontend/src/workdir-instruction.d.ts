import type { WorkdirInstruction } from '@tsbuild/dockerfile';
import type { StageBuilder } from './stage-builder.ts';
import { type StageState } from './stage-state.ts';
/**
 * Sets the working directory and adds the step that makes it, 0755 and the current user's; `/` needs none.
 *
 * @see spec/dockerfile.md 1.2
 */
export declare function addWorkdir({ graph, sourceDate }: StageBuilder, state: StageState, instruction: WorkdirInstruction): void;
//# sourceMappingURL=workdir-instruction.d.ts.map