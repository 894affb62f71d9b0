import { type SourceRange } from '@tsbuild/errors';
/**
 * Refuses a `--chmod` that cannot be applied, before anything is built for it. An octal one may have leading zeros.
 *
 * @throws {UserError} `ERR_MODE_INVALID`
 * @see spec/dockerfile.md 3.3
 */
export declare function checkMode(text: string, source: SourceRange): void;
//# sourceMappingURL=mode.d.ts.map