import { type Instruction } from '@tsbuild/dockerfile';
import type { StageState } from './stage-state.ts';
/** Instructions that change the image config only. */
export type MetadataInstruction = Exclude<Instruction, {
    kind: 'from' | 'arg' | 'run' | 'copy' | 'add' | 'workdir';
}>;
/** The shell of a stage. */
export declare function shellOf(state: StageState): readonly string[];
/** Applies one instruction to the config of its stage and notes it in the history. @see spec/dockerfile.md 1.2 */
export declare function applyMetadata(state: StageState, instruction: MetadataInstruction): void;
//# sourceMappingURL=metadata-instructions.d.ts.map