import { InternalError } from '@tsbuild/errors'
import { type CallOptions, type HelperTarget, start } from './call.ts'
import type { Changing, Staged, WrittenLayer } from './native.ts'
import type { Finish, OutcomeOf, Reply, Request } from './protocol.ts'

/** Starts an operation that changes a snapshot; what follows its outcome is checked against what it was asked for. */
export function startStaged<O extends Changing>(
  target: HelperTarget,
  request: Request & { readonly op: O; readonly finish: Finish | null },
  options: CallOptions,
): Staged<O> {
  let told: (digest: string | undefined) => void = () => {}
  let failed: (error: unknown) => void = () => {}
  const content = new Promise<string | undefined>((resolve, reject) => {
    told = resolve
    failed = reject
  })
  // Not everybody asks for it.
  content.catch(() => {})
  const onLaterReply = (reply: Reply) => {
    if (reply.event === 'content') told(reply.digest ?? undefined)
  }
  const { outcome, finished: replies } = start<O>(target, request, { ...options, onLaterReply })
  const finished = replies.then(async (after) => writtenLayer(await outcome, after, request.finish))
  finished.then(() => told(undefined), failed)
  return { outcome, content, finished }
}

/** @throws {InternalError} `ERR_HELPER_PROTOCOL` unless everything was done that should follow the outcome */
function writtenLayer(
  outcome: OutcomeOf<Changing>,
  replies: readonly Reply[],
  finish: Finish | null,
): WrittenLayer | undefined {
  const failed = outcome.op === 'run' && outcome.exitCode !== 0
  if (finish === null || failed) return undefined
  const layers = replies.filter((reply) => reply.event === 'layer')
  const contents = replies.filter((reply) => reply.event === 'content')
  const done =
    replies.at(-1)?.event === 'durable' &&
    layers.length === (finish.layer === null ? 0 : 1) &&
    contents.length === (finish.content ? 1 : 0)
  if (!done) throw new InternalError('ERR_HELPER_PROTOCOL', `The helper did not finish "${outcome.op}"`)
  const [layer] = layers
  if (layer === undefined) return undefined
  const { event: _, ...written } = layer
  return written
}
