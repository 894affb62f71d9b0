import type { SourceRange } from '@tsbuild/errors'
import type { Process } from '@tsbuild/executor'
import type { ExecOp } from '@tsbuild/graph'
import { mountScripts } from './script-mounts.ts'
import type { OpResult, OpsOptions } from './types.ts'

/** A step and what it reads. */
export interface PlacedStep {
  /** As shown to the user. */
  readonly name: string
  readonly source: SourceRange | null
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
 * @throws as opening the mounts of a step does
 */
export async function openFailedPlace(
  { op }: PlacedStep,
  lower: readonly string[],
  options: OpsOptions,
  _signal: AbortSignal,
): Promise<FailedPlace> {
  const overlay = await options.snapshotter.overlay(lower)
  const mounts = await mountScripts(op.scripts, options)
  return {
    process: {
      ...op,
      root: overlay.root,
      mounts,
      ulimits: [],
      shmSizeBytes: op.shmSizeBytes ?? null,
      readOnly: false,
      terminal: false,
    },
    close: () => overlay.release(),
  }
}
