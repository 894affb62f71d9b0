import type { FrontendOptions, FrontendResult } from './types.ts';
/**
 * Turns the target stage of a Dockerfile, and what it needs, into a graph and an image config. Base images are resolved to
 * their manifests and configs; nothing else is read. Stages that the target does not need are not looked at. What lint finds
 * in the others becomes warnings.
 *
 * @throws {UserError} `ERR_DOCKERFILE_…`, `ERR_UNSUPPORTED`, `ERR_IMAGE_NOT_FOUND`, each with its place; `ERR_SOURCE_DATE`,
 *   `ERR_LINT`
 * @see spec/dockerfile.md 1
 */
export declare function toGraph(given: FrontendOptions): Promise<FrontendResult>;
//# sourceMappingURL=convert.d.ts.map