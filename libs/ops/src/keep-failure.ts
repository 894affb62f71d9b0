import { isBuildError, withDetails } from '@tsbuild/errors'
import type { ExecOp } from '@tsbuild/graph'
import type { RunOutput } from '@tsbuild/native'
import type { PreparedSnapshot } from '@tsbuild/snapshot'
import type { ExecuteContext } from '@tsbuild/solver'
import { openFailedPlace } from './failed-place.ts'
import { encodeFailure, type Walls } from './failure-record.ts'
import { filesystemOf } from './stored-layer.ts'
import type { OpResult, OpsOptions } from './types.ts'

/** What becomes of steps that fail. */
export interface FailureKeeping {
  /** Of the build. */
  readonly ref: string
  /** What its steps have less of than others. */
  readonly walls: Walls
  /** `--on-error` */
  readonly onError: OnError | undefined
}

/** A command that looks at what a failed step left. */
export interface OnError {
  readonly command: string
  readonly timeoutMs: number
}

/** A step that did not come to its end. */
export interface FailedStep {
  readonly op: ExecOp
  readonly inputs: readonly OpResult[]
  readonly snapshot: PreparedSnapshot
  readonly output: StepOutput
  readonly context: ExecuteContext
  readonly error: unknown
}

/** Where the output of a step goes, secrets taken out. */
export interface StepOutput extends Extract<RunOutput, { kind: 'callbacks' }> {
  /** Sends what was held back because a secret could have begun in it. */
  end(): void
  /** Whether a whole line was written last, or nothing yet. */
  endsLine(): boolean
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
  const { snapshot, output, context, error } = failed
  output.end()
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
  return (await keep(keeping, failed, options)) ? withDetails(error, { failure: keeping.ref }) : error
}

async function keep(
  { ref, walls }: FailureKeeping,
  failed: FailedStep,
  { now, scope }: OpsOptions,
): Promise<boolean> {
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
    scope,
    walls,
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

/** Runs the command upon the failed step's files: what it changes is not what the step did. Never throws. */
async function runOnError(onError: OnError, failed: FailedStep, options: OpsOptions): Promise<void> {
  const { op, snapshot, output, context } = failed
  const { upper, lower } = snapshot.root
  const deadline = AbortSignal.timeout(onError.timeoutMs)
  const signal = AbortSignal.any([context.signal, deadline])
  const say = (text: string) => {
    output.end()
    output.onStderr(Buffer.from(`${output.endsLine() ? '' : '\n'}on-error: ${text}\n`))
  }
  say(onError.command)
  try {
    const trees = upper === null ? lower : [upper, ...lower]
    const place = await openFailedPlace(failed, trees, options, { ...context, signal })
    try {
      const process = { ...place.process, args: [...(op.shell ?? defaultShell), onError.command] }
      const { outcome, finished } = options.executor.run(process, output, { signal })
      await Promise.all([outcome, finished])
    } finally {
      await place.close()
    }
  } catch (error) {
    if (deadline.aborted) say(`ended after ${onError.timeoutMs / 1000} seconds`)
    else say(error instanceof Error ? error.message : String(error))
  } finally {
    output.end()
  }
}
