import { isBuildError, withDetails } from '@tsbuild/errors'
import type { Process } from '@tsbuild/executor'
import type { ExecOp } from '@tsbuild/graph'
import type { Mount, Root, RunOutput } from '@tsbuild/native'
import type { PreparedSnapshot, Snapshotter } from '@tsbuild/snapshot'
import type { ExecuteContext } from '@tsbuild/solver'
import { encodeFailure } from './failure-record.ts'
import type { OutputTail } from './output-tail.ts'
import { filesystemOf } from './stored-layer.ts'
import type { OpResult, OpsOptions } from './types.ts'

/** What becomes of steps that fail. */
export interface FailureKeeping {
  /** Of the build. */
  readonly ref: string
  /** `--on-error` */
  readonly onError: OnError | undefined
}

/** A command that looks at what a failed step left. */
export interface OnError {
  readonly command: string
  readonly timeoutMs: number
}

/** A step whose process ran and failed. What it was given to work with is still there. */
export interface FailedStep {
  readonly op: ExecOp
  readonly inputs: readonly OpResult[]
  readonly snapshot: PreparedSnapshot
  readonly process: Process
  /** Where the step's output went, secrets taken out. */
  readonly output: Extract<RunOutput, { kind: 'callbacks' }>
  readonly tail: OutputTail
  readonly context: ExecuteContext
  readonly error: unknown
}

/** Errors of a process that ran, and has something to show. */
const shown: readonly string[] = ['ERR_STEP_FAILED', 'ERR_STEP_OOM', 'ERR_STEP_PIDS', 'ERR_TIMEOUT']

/** What reads a command where the step names no shell. */
const defaultShell = ['/bin/sh', '-c']

/**
 * Ends a step that failed, when nothing works in its snapshot any more: runs `--on-error` where it failed, then keeps the
 * snapshot as the failure of the build. A step that was cancelled, or that could not be run at all, leaves nothing. In any case
 * the snapshot is over.
 *
 * @returns the error of the step, whose details name the failure if it was kept: `{ failure: ref }`
 */
export async function endFailedStep(failed: FailedStep, options: OpsOptions): Promise<unknown> {
  const { snapshot, context, error } = failed
  const keeping = options.failure
  if (
    keeping === undefined ||
    context.signal.aborted ||
    !isBuildError(error) ||
    !shown.includes(error.code)
  ) {
    await snapshot.release()
    return error
  }
  if (keeping.onError !== undefined) await runOnError(keeping.onError, failed, options)
  return (await keep(keeping.ref, failed, options)) ? withDetails(error, { failure: keeping.ref }) : error
}

async function keep(ref: string, failed: FailedStep, { now }: OpsOptions): Promise<boolean> {
  const { op, inputs, snapshot, context, error } = failed
  const { name, source } = context.vertex
  const { code = '', exitCode = null } = isBuildError(error) ? { code: error.code, ...error.details } : {}
  const record = {
    ref,
    at: now(),
    name,
    source,
    code,
    exitCode: typeof exitCode === 'number' ? exitCode : null,
    op,
    inputs: inputs.map(filesystemOf),
  }
  try {
    return await snapshot.keep(ref, encodeFailure(record))
  } catch {
    // The step's own error is what the user must see; a disk that is full is a likely reason for both.
    return false
  }
}

/** Runs the command over the failed step's files: what it changes is not what the step did. Never throws. */
async function runOnError(onError: OnError, failed: FailedStep, options: OpsOptions): Promise<void> {
  const { op, process, output, tail, context } = failed
  const say = (text: string) =>
    output.onStderr(Buffer.from(`${tail.endsLine() ? '' : '\n'}on-error: ${text}\n`))
  const deadline = AbortSignal.timeout(onError.timeoutMs)
  const signal = AbortSignal.any([context.signal, deadline])
  const over = overlays(options.snapshotter)
  say(onError.command)
  try {
    const args = [...(op.shell ?? defaultShell), onError.command]
    const root = await over.upon(process.root)
    const mounts = await Promise.all(process.mounts.map((mount) => refreshed(mount, over.upon)))
    const { outcome, finished } = options.executor.run({ ...process, args, root, mounts }, output, { signal })
    await Promise.all([outcome, finished])
  } catch (error) {
    if (deadline.aborted) say(`ended after ${onError.timeoutMs / 1000} seconds`)
    else say(error instanceof Error ? error.message : String(error))
  } finally {
    await over.release()
  }
}

/** What overlayfs wrote to cannot be written to by a second mount, and shall not be. */
async function refreshed(mount: Mount, upon: (root: Root) => Promise<Root>): Promise<Mount> {
  if (mount.kind !== 'snapshot' || mount.root.upper === null) return mount
  return { ...mount, root: await upon(mount.root) }
}

interface Overlays {
  /** A root of its own upon another, which is not changed. */
  readonly upon: (root: Root) => Promise<Root>
  readonly release: () => Promise<void>
}

/** Makes throw-away layers upon roots, and deletes them together. */
export function overlays(snapshotter: Snapshotter): Overlays {
  const made: Pick<PreparedSnapshot, 'release'>[] = []
  return {
    async upon({ lower, upper }) {
      const overlay = await snapshotter.overlay(upper === null ? lower : [upper, ...lower])
      made.push(overlay)
      return overlay.root
    },
    release: async () => void (await Promise.all(made.map((overlay) => overlay.release()))),
  }
}
