import type { CachePlace } from '../index-format/cache-place.ts'
import { createIndexExporter, type IndexExporterOptions } from '../index-format/exporter.ts'
import { emptyIndex } from '../index-format/types.ts'
import type { CacheExporter } from '../types.ts'
import type { SampleBuild } from './sample-build.ts'

/** Of `createIndexExporter()`, what a test may set: by default layers as they are, and 1 s after the beginning of time. */
export type ExportOptions = Partial<Pick<IndexExporterOptions, 'target' | 'now'>>

/** An exporter with the index format that knows the steps of a build and is not finished. */
export function exporterOf(
  build: SampleBuild,
  place: CachePlace,
  { target = {}, now = () => 1_000 }: ExportOptions = {},
): CacheExporter {
  const buildkitPart = async () => emptyIndex.buildkit
  const exporter = createIndexExporter({ place, target, tools: build.tools, buildkitPart, now })
  for (const step of build.steps) exporter.add(step)
  return exporter
}

/** Exports a build to a place, whole. */
export async function exportBuild(build: SampleBuild, place: CachePlace, options: ExportOptions = {}) {
  const exporter = exporterOf(build, place, options)
  return await exporter.finish({ graph: { vertices: [], targets: [] }, steps: build.steps })
}
