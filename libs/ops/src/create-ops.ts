import type { Vertex } from '@tsbuild/graph'
import type { SolverOp } from '@tsbuild/solver'
import type { CacheMountStore } from '@tsbuild/store'
import { onceFresh } from './exec-cache-mounts.ts'
import { execOp } from './exec-op.ts'
import { fileOp } from './file-op.ts'
import { mergeOp } from './merge-op.ts'
import { imageOp, localOp, remoteOp } from './source-ops.ts'
import type { OpResult, OpsOptions } from './types.ts'

/** The ops of a build's graph as the solver runs them. */
export function createOps(options: OpsOptions): (vertex: Vertex) => SolverOp<OpResult> {
  let cacheMounts: CacheMountStore | undefined
  return ({ op, inputs }) => {
    switch (op.kind) {
      case 'image':
        return imageOp(op)
      case 'local':
        return localOp(op, options)
      case 'http':
      case 'git':
        return remoteOp(op, options)
      case 'exec':
        cacheMounts ??= onceFresh(options.cacheMounts)
        return execOp(op, inputs.length, { ...options, cacheMounts })
      case 'file':
        return fileOp(op, inputs.length, options)
      case 'merge':
        return mergeOp()
    }
  }
}
