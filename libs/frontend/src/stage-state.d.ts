import type { Digest } from '@tsbuild/digest';
import type { Instruction, Stage } from '@tsbuild/dockerfile';
import { type HistoryEntry, type Platform, type RuntimeConfig } from '@tsbuild/oci';
import { type Base } from './base.ts';
import { GrowingConfig } from './growing-config.ts';
import { type Scope } from './scope.ts';
import type { StageBuilder } from './stage-builder.ts';
import type { HistoryDraft } from './types.ts';
/** `PATH` of an image that sets none. */
export declare const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** A stage while its instructions are applied. */
export interface StageState {
    readonly stage: Stage;
    readonly scope: Scope;
    /** As in BuildKit's step names: `build`, `stage-1`, or empty in a file with one unnamed stage. */
    readonly label: string;
    /** Whether the names of its steps begin with a platform. */
    readonly showsPlatform: boolean;
    readonly ignoreCache: boolean;
    /** What its steps run on: that of the stage it is based on, else `FROM --platform`, else that of the build. */
    readonly platform: Platform;
    readonly total: number;
    number: number;
    /** The file system so far; undefined is empty. */
    rootfs: Digest | undefined;
    /** Without what is in `growing` until the stage is built. */
    config: RuntimeConfig;
    readonly growing: GrowingConfig;
    author: string | undefined;
    readonly baseHistory: readonly HistoryEntry[];
    readonly baseCreated: string | undefined;
    readonly history: HistoryDraft[];
    /** A CMD of this very stage, which ENTRYPOINT does not reset. */
    hasOwnCmd: boolean;
}
/** A stage of which nothing but FROM is done. @param instructions those to come, for the number of its steps */
export declare function startState(builder: StageBuilder, stage: Stage, base: Base, instructions: readonly Instruction[]): StageState;
/**
 * The name of the next step: `[build 2/4] RUN make`, without credentials: it is shown and recorded. Counts it. Where an image is
 * one of several: `[linux/amd64 build 2/4] RUN make`, and `[linux/amd64->arm64 build 2/4] …` where the step knows its target.
 */
export declare function nextStepName(state: StageState, text: string): string;
//# sourceMappingURL=stage-state.d.ts.map