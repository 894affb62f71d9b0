import { InternalError } from '@tsbuild/errors'
import type { ImageOp, LocalOp } from '@tsbuild/graph'
import type { SourceOp } from '@tsbuild/solver'
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

/** A directory has no key of its own: only what is read of it counts. */
export function localOp(op: LocalOp, options: OpsOptions): SourceOp<OpResult> {
  return {
    kind: 'source',
    key: undefined,
    describe: async () => {
      const context = options.contexts.get(op.name)
      if (context === undefined) throw new InternalError('ERR_INTERNAL', `there is no context "${op.name}"`)
      return { kind: 'context', context }
    },
  }
}
