import type { Instruction, Stage } from '@tsbuild/dockerfile';
import type { SourceRange } from '@tsbuild/errors';
import type { StageState } from '../stage-state.ts';
import type { ResolvedImage } from '../types.ts';
/** A variable that a word names and nothing has set or declared. */
export interface UnknownName {
    readonly name: string;
    /** Of the instruction that names it. */
    readonly source: SourceRange;
    /** What could have been meant. */
    readonly known: () => Iterable<string>;
}
/** What a stage begins with. */
export interface StageStart {
    /** The earlier stage that it is based on. */
    readonly parent: Stage | undefined;
    /** The image that it is based on. */
    readonly image: ResolvedImage | undefined;
}
/** Looks on while stages are built. It changes nothing of what is built. */
export interface StageObserver {
    /** A stage is needed; its base is not looked for yet. */
    reached(stage: Stage): void;
    /** FROM is done. */
    started(state: StageState, start: StageStart): void;
    /** Calls `run`, which applies the instruction to the stage. */
    apply(state: StageState, instruction: Instruction, run: () => Promise<void> | void): Promise<void>;
    unknownName(use: UnknownName): void;
}
//# sourceMappingURL=observer.d.ts.map