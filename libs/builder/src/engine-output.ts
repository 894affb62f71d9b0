import type { Engine } from '@tsbuild/engine'
import { openTree } from '@tsbuild/exporter'
import type { ImageTarget } from './image-outputs.ts'
import type { EngineOutput } from './output-types.ts'
import type { BuilderOptions } from './types.ts'

/**
 * Loads an image into the engine that an output means.
 *
 * @returns the names that it has there
 * @throws {UserError | EnvironmentError} see `Engine.load`
 */
export async function loadIntoEngine(
  { exporter, tree, names, context, done }: ImageTarget,
  output: EngineOutput,
  env: BuilderOptions['env'],
): Promise<readonly string[]> {
  const { signal, vertex, events, now } = context
  const engine = await engineOf(output, env, signal)
  const report = (currentBytes: number, isDone: boolean) => {
    const status = { id: `sending to ${engine.title}`, currentBytes, totalBytes: null, done: isDone }
    events({ type: 'vertex.status', vertex, ...status, at: now() })
  }
  const image = { root: tree.root, names, open: openTree(exporter, tree, signal) }
  const loaded = await engine.load(image, { signal, onProgress: (sent) => report(sent, false) })
  const { total, sent } = loaded.layers
  report(loaded.sentBytes, true)
  done(`loading image ${loaded.imageId}: ${sent} of ${total} layers sent`)
  for (const name of loaded.names) done(`naming to ${name}`)
  return loaded.names
}

/** The engine that an output means. Loaded here because most builds need none. @throws {EnvironmentError} `ERR_ENGINE_UNREACHABLE` */
export async function engineOf(
  { context }: EngineOutput,
  env: BuilderOptions['env'] = {},
  signal: AbortSignal,
): Promise<Engine> {
  const { openEngine } = await import('@tsbuild/engine')
  return await openEngine({ env, context }, signal)
}
