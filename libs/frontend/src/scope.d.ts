import type { EscapeToken } from '@tsbuild/dockerfile';
import type { SourceRange } from '@tsbuild/errors';
import type { UnknownName } from './lint/observer.ts';
/** The variables of a stage: what its words expand to and what its RUN steps get. The later instruction wins. */
export interface Scope {
    /** `NAME=value` in order of first appearance. */
    environment(): readonly string[];
    /** Names in the order in which they were set last, as BuildKit has its variables. */
    lastSet(): readonly string[];
    /**
     * Declared ARGs as `NAME=value` with what RUN sees, which may be the value of an ENV; empty for one without a value. For
     * the history of RUN.
     */
    args(): readonly string[];
    setEnv(name: string, value: string): void;
    /** @param value undefined declares without a value */
    setArg(name: string, value: string | undefined): void;
    expand(word: string, source: SourceRange): string;
    expandWords(word: string, source: SourceRange): readonly string[];
    expandHeredoc(body: string, source: SourceRange): string;
}
/**
 * Starts the scope of a stage from that of its base: an image's environment, or all that an earlier stage knows. What is in the
 * config of the base is set once more, as BuildKit does it: variables of a stage come after its arguments.
 */
export declare function createScope(base: Pick<Scope, 'environment' | 'args' | 'lastSet'>, configured: readonly string[], escapeToken: EscapeToken, onUnknown?: (use: UnknownName) => void): Scope;
/** Splits `NAME=value`; a text without `=` is a name with an empty value. */
export declare function splitAssignment(text: string): readonly [name: string, value: string];
//# sourceMappingURL=scope.d.ts.map