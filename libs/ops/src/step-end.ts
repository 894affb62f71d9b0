import type { Digest } from '@tsbuild/digest'
import { sizeText, UserError } from '@tsbuild/errors'
import type { BuildEvent } from '@tsbuild/events'
import type { ExceededLimit, Executor } from '@tsbuild/executor'
import type { ExecOp } from '@tsbuild/graph'
import type { OutcomeOf } from '@tsbuild/native'

/** What the process of a step used. */
export function usageEvent(vertex: Digest, outcome: OutcomeOf<'run'>, at: number): BuildEvent {
  const { userMicros, systemMicros, peakMemoryBytes, readBytes, writtenBytes } = outcome
  return {
    type: 'vertex.usage',
    vertex,
    userMicros,
    systemMicros,
    peakMemoryBytes,
    readBytes,
    writtenBytes,
    at,
  }
}

/** A process that ended with another exit code than 0. */
export interface FailedStep {
  readonly op: Pick<ExecOp, 'args'>
  readonly outcome: Pick<OutcomeOf<'run'>, 'exitCode' | 'exceeded'>
  readonly lastLines: readonly string[]
  readonly executor: Pick<Executor, 'limitOf'>
}

/** The error for it: `ERR_STEP_OOM`, `ERR_STEP_PIDS`, or `ERR_STEP_FAILED` where no limit was in the way. */
export function stepFailed(step: FailedStep): UserError {
  const { op, outcome, lastLines, executor } = step
  const { exitCode, exceeded } = outcome
  const command = op.args.join(' ')
  const shown = command.length > 300 ? `${command.slice(0, 300)}…` : command
  const details = { exitCode, lastLines }
  if (exceeded !== null) return limitExceeded(shown, executor.limitOf(exceeded), details)
  return new UserError(
    'ERR_STEP_FAILED',
    `Process "${shown}" did not complete successfully: exit code: ${exitCode}`,
    { details, hints: missingShell(step) },
  )
}

function limitExceeded(command: string, limit: ExceededLimit, details: object): UserError {
  const { resource, amount, owner } = limit
  if (resource === 'memory') {
    const what = amount === null ? '' : ` of ${sizeText(amount)}`
    const message = {
      process: `used more than its memory limit${what} (--resource memory)`,
      build: `used more than the build's memory limit${what} (--memory)`,
      default: `used more than the default memory limit${what}`,
      machine: 'was ended, as the machine or its container has no more memory',
    }[owner]
    return new UserError('ERR_STEP_OOM', `Process "${command}" ${message}`, {
      details: { ...details, limit },
      hints: memoryHints[owner],
    })
  }
  const message = {
    process: `its limit of ${amount} (--resource pids-limit)`,
    build: `the build's limit of ${amount} (--pids-limit)`,
    default: `the default limit of ${amount}`,
    machine: 'the limit of the machine or its container',
  }[owner]
  return new UserError(
    'ERR_STEP_PIDS',
    `Process "${command}" could make no more processes: ${message} is reached`,
    {
      details: { ...details, limit },
      hints: owner === 'default' ? ['`--pids-limit` sets another limit.'] : [],
    },
  )
}

const memoryHints: Readonly<Record<ExceededLimit['owner'], readonly string[]>> = {
  process: [],
  build: ['The steps of a build that run at the same time share this limit.'],
  default: ['It is what this machine has without a reserve for itself. `--memory` sets another limit.'],
  machine: [],
}

/** A `RUN` upon `scratch`, or upon an image of one program, has nothing that could read its line. */
function missingShell({ op, outcome, lastLines }: FailedStep): readonly string[] {
  const [shell, option] = op.args
  const complaint = `tsbuild: cannot run "${shell}": no such file or directory`
  if (outcome.exitCode !== 127 || option !== '-c' || !lastLines.some((line) => line.includes(complaint)))
    return []
  return [
    `The image has no ${shell}. Use a base image with a shell, or the JSON form, \`RUN ["/program", "argument"]\`.`,
  ]
}
