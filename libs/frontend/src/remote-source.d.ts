import { type SourceRange } from '@tsbuild/errors';
import type { GitOp, HttpOp } from '@tsbuild/graph';
/** Flags of ADD that say something about what it fetches; variables are expanded. */
export interface RemoteFlags {
    readonly checksum: string | undefined;
    readonly keepGitDir: boolean | null;
    /** Files of a repository get the time of their commit where its URL does not say otherwise. */
    readonly commitTimes: boolean;
}
/**
 * What ADD fetches for a source; undefined for a path.
 *
 * @throws {UserError} `ERR_URL_INVALID`; `ERR_UNSUPPORTED` for a URL of another scheme; `ERR_DIGEST_INVALID` for a malformed
 *   checksum
 * @see spec/dockerfile.md 3.4
 */
export declare function remoteSource(word: string, flags: RemoteFlags, source: SourceRange): HttpOp | GitOp | undefined;
/**
 * Refuses what only ADD takes.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a URL or a repository; `ERR_URL_INVALID` for a malformed one
 */
export declare function refuseRemote(word: string, source: SourceRange): void;
/** Whether a source of ADD is no path, well-formed or not. */
export declare function isRemoteSource(word: string): boolean;
//# sourceMappingURL=remote-source.d.ts.map