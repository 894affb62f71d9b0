/** Joins and cleans a path inside of an image; the result is absolute and has no trailing slash. */
export declare function resolveInImage(cwd: string, path: string): string;
/**
 * The destination of a COPY: absolute, cleaned, with a trailing slash where the text says that it is a directory.
 *
 * @see spec/dockerfile.md 3.1
 */
export declare function copyDestination(cwd: string, dest: string): string;
/** Whether a text can name a file in a directory. */
export declare function isFileName(text: string): boolean;
//# sourceMappingURL=paths.d.ts.map