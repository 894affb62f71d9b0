import type { BuildkitPart } from './index-format/exporter.ts'
import { emptyIndex } from './index-format/types.ts'

/** BuildKit's records of a build. */
export const buildkitPart: BuildkitPart = async () => emptyIndex.buildkit
