import type { BuildContext } from '@tsbuild/context'
import type { GitOp, HttpOp, ImageOp, LocalOp } from '@tsbuild/graph'
import type { ExecuteContext, SourceOp } from '@tsbuild/solver'
import type { OpResult, OpsOptions } from './types.ts'

/** An image counts by its manifest alone, never by its tag. @see spec/dockerfile.md 2.6 */
export function imageOp(op: ImageOp): SourceOp<OpResult> {
  return {
    kind: 'source',
    key: { kind: 'image', manifest: op.manifest },
    describe: async () => ({
      kind: 'filesystem',
      filesystem: {
        layers: op.layers.map((layer) => ({ kind: 'image', reference: op.reference, ...layer })),
      },
    }),
  }
}

/** A context has no key of its own: only what is read of it counts. */
export function localOp(op: LocalOp, options: OpsOptions): SourceOp<OpResult> {
  return {
    kind: 'source',
    key: undefined,
    describe: async () => ({ kind: 'context', context: await options.contexts(op.name) }),
  }
}

/**
 * What stands elsewhere is asked for in each build, and counts like a directory, by what is read of it: a file whose ETag
 * is new and whose bytes are not, or a commit that changed other files, runs nothing again.
 * @see spec/dockerfile.md 2.6, 3.4
 */
export function remoteOp(op: HttpOp | GitOp, options: OpsOptions): SourceOp<OpResult> {
  return {
    kind: 'source',
    key: undefined,
    describe: async (running) => ({ kind: 'context', context: await fetchContext(op, options, running) }),
  }
}

async function fetchContext(
  op: HttpOp | GitOp,
  { fetch, now }: OpsOptions,
  { vertex, signal, events }: ExecuteContext,
): Promise<BuildContext> {
  const id = op.kind === 'git' ? op.remote : op.filename
  let last: readonly [currentBytes: number, totalBytes: number | null] = [0, null]
  const send = (done: boolean) => {
    const [currentBytes, totalBytes] = last
    events({ type: 'vertex.status', vertex: vertex.digest, id, currentBytes, totalBytes, done, at: now() })
  }
  const onProgress = (received: number, total: number | undefined) => {
    last = [received, total ?? null]
    send(false)
  }
  const fetched = await fetch(op, { signal, onProgress })
  // What was there already had no progress.
  if (last[0] > 0) send(true)
  return fetched
}
