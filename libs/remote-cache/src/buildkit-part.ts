import { type StepLayers, writeSteps } from '@tsbuild/buildkit-cache'
import type { Digest } from '@tsbuild/digest'
import type { BuildkitPart } from './index-format/exporter.ts'
import { emptyIndex } from './index-format/types.ts'
import type { BuildkitFacts } from './types.ts'

/**
 * BuildKit's records of a build. The layers of base images are among those of its results: they are sent too.
 *
 * @param facts undefined, or giving undefined: nothing is written for BuildKit
 * @param forDocker see `WriteTools.forDocker`
 */
export function buildkitPartOf(
  facts: (() => BuildkitFacts | undefined) | undefined,
  forDocker: boolean,
): BuildkitPart {
  return async ({ graph, steps }, blobOf) => {
    const known = facts?.()
    if (known === undefined) return emptyIndex.buildkit
    const results = new Map<Digest, StepLayers>()
    for (const { vertex, layers, record } of steps) {
      const blobs = await Promise.all(layers.map((layer) => blobOf(layer)))
      const described = blobs.map(({ mediaType, digest, size, diffId }) => ({
        descriptor: { mediaType, digest, size },
        diffId,
      }))
      results.set(vertex, { layers: described, createdAt: record.createdAt })
    }
    return await writeSteps(graph.vertices, {
      resultOf: (vertex) => results.get(vertex),
      contentOf: known.contentOf,
      forDocker,
    })
  }
}
