import { type Stage } from '@tsbuild/dockerfile';
import { type GraphBuilder } from '@tsbuild/graph';
import type { StageObserver } from './lint/observer.ts';
import { type NamedContexts } from './named-contexts.ts';
import type { DatedOptions, SourceDate } from './source-date.ts';
import { type StageState } from './stage-state.ts';
import type { FrontendOptions } from './types.ts';
/** Builds stages on demand, each once. */
export interface StageBuilder {
    readonly graph: GraphBuilder;
    readonly options: FrontendOptions;
    /** Variables of FROM, and of an ARG without a value. */
    readonly globals: ReadonlyMap<string, string>;
    readonly contexts: NamedContexts;
    readonly sourceDate: SourceDate;
    /** Of every RUN. */
    readonly hostname: string;
    /** Looks on, for lint and for `--call`. */
    readonly observer: StageObserver;
    build(stage: Stage): Promise<StageState>;
}
/** Starts with no stage built. @throws {UserError} `ERR_PLATFORM_INVALID` in the name of a named context, `ERR_USAGE` */
export declare function createStageBuilder({ options, globals, sourceDate }: DatedOptions, observer: StageObserver): StageBuilder;
//# sourceMappingURL=stage-builder.d.ts.map