import type { Process } from '@tsbuild/executor'
import type { ExecOp } from '@tsbuild/graph'
import type { ExecuteContext } from '@tsbuild/solver'
import { openMounts } from './exec-mounts.ts'
import { processOf } from './exec-process.ts'
import { readSecrets } from './exec-secrets.ts'
import type { OpResult, OpsOptions } from './types.ts'

/** A step and what it reads. */
export interface PlacedStep {
  readonly op: ExecOp
  readonly inputs: readonly OpResult[]
}

/** A file system with the surroundings of a step, to be looked at. */
export interface FailedPlace {
  /** The step's process, with a layer of its own that is thrown away. */
  readonly process: Process
  /** Ends it; nothing works in it any more. */
  close(): Promise<void>
}

/**
 * Opens the surroundings of a step once more, upon other trees: its mounts, environment, user and network.
 *
 * @param lower topmost first; they do not change
 * @param context says what is waited for
 * @throws as opening the mounts of a step does
 */
export async function openFailedPlace(
  { op, inputs }: PlacedStep,
  lower: readonly string[],
  options: OpsOptions,
  context: ExecuteContext,
): Promise<FailedPlace> {
  const secrets = await readSecrets(op.mounts, options)
  // What a cache mount holds is to be seen: nothing begins afresh.
  const vertex = { ...context.vertex, ignoreCache: false }
  const mounts = await openMounts(op, secrets, inputs, options, { ...context, vertex })
  try {
    const overlay = await options.snapshotter.overlay(lower)
    return {
      process: { ...processOf(op, mounts, secrets), root: overlay.root },
      close: async () => void (await Promise.all([mounts.close(), overlay.release()])),
    }
  } catch (error) {
    await mounts.close()
    throw error
  }
}
