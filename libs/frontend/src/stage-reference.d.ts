import { type RunInstruction, type Stage } from '@tsbuild/dockerfile';
import { type SourceRange } from '@tsbuild/errors';
/** A `--from` of COPY, or `from=` of a mount. */
export interface StageReference {
    readonly name: string;
    /** The stage that says it. */
    readonly reader: Stage;
    readonly source: SourceRange;
}
/**
 * The stage of this number or name; undefined for a name that no stage has.
 *
 * @throws {UserError} `ERR_DOCKERFILE_STAGE_NOT_FOUND` for a number that no stage has
 * @see spec/dockerfile.md 1.6
 */
export declare function stageOf(stages: readonly Stage[], { name, reader, source }: StageReference): Stage | undefined;
/** The last stage of this name before the reader; else the last one of all, which comes too late. */
export declare function namedStage(stages: readonly Stage[], name: string, reader: Stage): Stage | undefined;
/** @throws {UserError} `ERR_DOCKERFILE_CYCLE`, `ERR_DOCKERFILE_STAGE_NOT_FOUND` for a stage that is not before its reader */
export declare function refuseLater(stages: readonly Stage[], named: Stage, { reader, source }: Omit<StageReference, 'name'>): void;
/** What the mounts of a RUN say after `from=`. */
export declare function mountedNames({ mounts }: RunInstruction): readonly string[];
//# sourceMappingURL=stage-reference.d.ts.map