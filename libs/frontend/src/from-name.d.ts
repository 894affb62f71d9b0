import type { Digest } from '@tsbuild/digest';
import type { StageBuilder } from './stage-builder.ts';
import { type StageReference } from './stage-reference.ts';
/**
 * The file system that `COPY --from` names: a stage by name or number, a named context or an image; undefined is empty. A named
 * context of files is the vertex that loads them.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a variable, `ERR_DOCKERFILE_STAGE_NOT_FOUND`, `ERR_DOCKERFILE_CYCLE`,
 *   `ERR_IMAGE_NOT_FOUND`, `ERR_REFERENCE_INVALID`
 */
export declare function fromName(builder: StageBuilder, reference: StageReference): Promise<Digest | undefined>;
/**
 * The same for `from` of a mount, where a number is no stage but an image.
 *
 * @throws {UserError} as {@link fromName}
 */
export declare function fromMount(builder: StageBuilder, reference: StageReference): Promise<Digest | undefined>;
//# sourceMappingURL=from-name.d.ts.map