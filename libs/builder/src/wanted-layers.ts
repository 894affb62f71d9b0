import type { Digest } from '@tsbuild/digest'
import { layerFormOf } from '@tsbuild/exporter'
import type { FrontendResult } from '@tsbuild/frontend'
import type { MergedGraph, Vertex } from '@tsbuild/graph'
import type { LayerForm } from '@tsbuild/native'
import { epochOf, formOf } from './output-form.ts'
import { hasLayers, outputsOf } from './outputs.ts'
import type { BuildOptions } from './types.ts'

/**
 * The layers that the first output with layers is going to need: those of the targets' own stacks. They are compressed
 * while later steps run.
 *
 * @param images of the targets, in their order
 * @throws {UserError} `ERR_USAGE` for an output whose layers cannot be written as it says
 */
export function wantedLayers(
  graph: MergedGraph,
  images: readonly FrontendResult[],
  options: BuildOptions,
): (vertex: Vertex) => LayerForm | undefined {
  const forms = outputsOf(options)
    .filter(hasLayers)
    .map((output) =>
      images.map((image) =>
        layerFormOf({ form: formOf(output, options), sourceDateEpoch: epochOf(output, image) }),
      ),
    )
  const [first] = forms
  if (first === undefined) return () => undefined
  const vertices = new Map(graph.vertices.map((vertex) => [vertex.digest, vertex]))
  const wanted = new Map<Digest, LayerForm>()
  for (const [index, form] of first.entries()) {
    const target = graph.targets[index]
    const pending = target === undefined ? [] : [target]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const vertex = wanted.has(next) ? undefined : vertices.get(next)
      if (vertex === undefined) continue
      wanted.set(next, form)
      pending.push(...stackedUpon(vertex))
    }
  }
  return ({ digest }) => wanted.get(digest)
}

/** The inputs whose layers are in a vertex's result. */
export function stackedUpon({ op, inputs }: Vertex): readonly Digest[] {
  if (op.kind === 'merge') return inputs
  const base = op.kind === 'exec' || op.kind === 'file' ? op.rootfs : undefined
  const input = base === undefined ? undefined : inputs[base]
  return input === undefined ? [] : [input]
}
