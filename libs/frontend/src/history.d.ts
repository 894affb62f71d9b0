import type { CommandLine } from '@tsbuild/dockerfile';
import type { Healthcheck, HistoryEntry } from '@tsbuild/oci';
/**
 * The words of a history entry, as Docker and BuildKit write them. @see spec/dockerfile.md 1.6
 */
export declare const history: {
    run: (args: readonly string[], command: readonly string[]) => string;
    list: (keyword: string, words: readonly string[]) => string;
    command: (keyword: string, command: readonly string[]) => string;
    /** As Go's `%+v` prints it. */
    healthcheck: (check: Healthcheck) => string;
};
/** The argv of a command in its stage's shell. */
export declare function argvOf(command: CommandLine, shell: readonly string[]): readonly string[];
/**
 * The history of a base image with one entry for each of its layers: some images have none, or too few.
 */
export declare function completeHistory(history: readonly HistoryEntry[], layers: number): readonly HistoryEntry[];
//# sourceMappingURL=history.d.ts.map