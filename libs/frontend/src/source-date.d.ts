import type { FrontendOptions } from './types.ts';
/** What `SOURCE_DATE_EPOCH` came to. */
export interface SourceDate {
    /** Unix seconds; undefined where none is wanted or none is known. */
    readonly seconds: number | undefined;
    /** `context`: files of repositories get the time of their commit. */
    readonly ofContext: boolean;
}
/** Options and variables in which the word is replaced by the number. */
export interface DatedOptions {
    readonly options: FrontendOptions;
    readonly globals: ReadonlyMap<string, string>;
    readonly sourceDate: SourceDate;
}
/**
 * Finds what `SOURCE_DATE_EPOCH` says, given as a build argument or as a global ARG: a number, `context`, a named context
 * or a source-only stage. Stages see the number; where no date is known they see none.
 *
 * @throws {UserError} `ERR_SOURCE_DATE`
 * @see spec/dockerfile.md 1.4
 */
export declare function withSourceDate(given: FrontendOptions): Promise<DatedOptions>;
/** For looking at a file without asking anything for a date. */
export declare function withoutSourceDate(options: FrontendOptions): DatedOptions;
//# sourceMappingURL=source-date.d.ts.map