import { type SourceRange } from '@tsbuild/errors';
import type { StageState } from '../stage-state.ts';
/** Expands a word; undefined where it is malformed, which the instruction itself is going to say. */
export declare function tryExpand({ scope }: StageState, word: string, source: SourceRange): string | undefined;
//# sourceMappingURL=try-expand.d.ts.map