import type { Stage } from '@tsbuild/dockerfile';
import type { StageBuilder } from './stage-builder.ts';
/**
 * Asks at once for the images of targets and of the stages that it needs, as far as their names can be told without a
 * build: not for those of triggers. What cannot be had is an error where it is needed, not here.
 */
export declare function prefetchImages(builder: StageBuilder, targets: readonly Stage[]): void;
//# sourceMappingURL=prefetch.d.ts.map