import { InternalError } from '@tsbuild/errors'
import type { Started } from './call.ts'
import type { Staged, WrittenLayer } from './native.ts'
import type { Finish, OutcomeOf, Reply } from './protocol.ts'

/** What follows the outcome of a started operation, checked against what `finish` asked for. */
export function staged<O extends 'copy' | 'run'>(
  { outcome, finished }: Started<O>,
  finish: Finish | null,
): Staged<O> {
  const layer = finished.then(async (replies) => writtenLayer(await outcome, replies, finish))
  layer.catch(() => {})
  return { outcome, finished: layer }
}

/** @throws {InternalError} `ERR_HELPER_PROTOCOL` unless everything was done that should follow the outcome */
function writtenLayer(
  outcome: OutcomeOf<'copy' | 'run'>,
  replies: readonly Reply[],
  finish: Finish | null,
): WrittenLayer | undefined {
  const failed = outcome.op === 'run' && outcome.exitCode !== 0
  if (finish === null || failed) return undefined
  const layers = replies.filter((reply) => reply.event === 'layer')
  const wanted = finish.layer === null ? 0 : 1
  if (replies.at(-1)?.event !== 'durable' || layers.length !== wanted)
    throw new InternalError('ERR_HELPER_PROTOCOL', `The helper did not finish "${outcome.op}"`)
  const [layer] = layers
  if (layer === undefined) return undefined
  const { digest, sizeBytes, diffId } = layer
  return { digest, sizeBytes, diffId }
}
