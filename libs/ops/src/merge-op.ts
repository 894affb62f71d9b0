import type { ViewOp } from '@tsbuild/solver'
import { filesystemOf } from './stored-layer.ts'
import type { OpResult } from './types.ts'

/*
 * What a merge counts as, `merge.v1`: its inputs in order, and nothing else. It is keyed as a definition is
 * (libs/solver/src/keys.ts); docs/dev/cache-keys.md.
 */

/** The layers of all inputs in one list: nothing is read, fetched or copied. @see spec/dockerfile.md 3.3, `--link` */
export function mergeOp(): ViewOp<OpResult> {
  return {
    kind: 'view',
    key: { kind: 'merge.v1' },
    combine: (inputs) => ({
      kind: 'filesystem',
      filesystem: { layers: inputs.flatMap((input) => filesystemOf(input).layers) },
    }),
  }
}
