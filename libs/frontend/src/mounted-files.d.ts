import type { Digest } from '@tsbuild/digest';
import type { Mount } from '@tsbuild/dockerfile';
import { type SourceRange } from '@tsbuild/errors';
import type { StageBuilder } from './stage-builder.ts';
import type { StageState } from './stage-state.ts';
/** What a mount shows: a path of a file system. */
export interface MountedFiles {
    /** Undefined is an empty file system, and for a cache the cache itself. */
    readonly input: Digest | undefined;
    /** Absolute. */
    readonly path: string;
}
/**
 * Adds the file system that a bind shows or that a cache is made of. Of a context, which the process must not see as it is, it
 * is a copy of what is mounted.
 *
 * @throws {UserError} `ERR_MOUNT_SOURCE_INVALID` for a source in nothing; see `fromMount`
 * @see spec/dockerfile.md 2.1, docs/adr/0014-run-mounts.md
 */
export declare function mountedFiles(builder: StageBuilder, state: StageState, mount: Mount, source: SourceRange): Promise<MountedFiles>;
//# sourceMappingURL=mounted-files.d.ts.map