import { heredocText, type RunInstruction } from '@tsbuild/dockerfile'
import { type SourceRange, UserError } from '@tsbuild/errors'
import type { ScriptFile } from '@tsbuild/graph'
import { formatPlatform } from '@tsbuild/oci'
import { argvOf, history } from './history.ts'
import { shellOf } from './metadata-instructions.ts'
import { checkMounts } from './mounts.ts'
import { isFileName } from './paths.ts'
import type { StageBuilder } from './stage-builder.ts'
import { nextStepName, type StageState } from './stage-state.ts'

/** Adds the step of a RUN. @see spec/dockerfile.md 2 */
export function addRun(builder: StageBuilder, state: StageState, instruction: RunInstruction): void {
  const { graph, options } = builder
  const { source } = instruction
  checkMounts(builder, state, instruction)
  refuseUnsupported(instruction)
  const shell = shellOf(state)
  const { args, scripts, script } = commandOf(instruction, shell)
  const op = {
    kind: 'exec',
    rootfs: state.rootfs === undefined ? undefined : 0,
    args,
    ...(instruction.command.form === 'exec' ? {} : { shell }),
    env: state.scope.environment(),
    cwd: state.config.workingDir || '/',
    user: state.config.user ?? '',
    network: networkOf(instruction, options.network),
    hostname: builder.hostname,
    extraHosts: options.extraHosts,
    platform: formatPlatform(state.platform),
    scripts,
    security: instruction.security,
    mounts: [],
    ulimits: options.ulimits,
    shmSizeBytes: options.shmSizeBytes,
    cgroupParent: options.cgroupParent,
  } as const
  state.rootfs = graph.add(op, {
    inputs: state.rootfs === undefined ? [] : [state.rootfs],
    name: nextStepName(
      state,
      script === undefined ? instruction.original : `${instruction.original} (${firstLine(script)})`,
    ),
    source,
    ignoreCache: state.ignoreCache,
  })
  state.history.push({ createdBy: history.run(state.scope.args(), args), emptyLayer: false })
}

/** `none` of the step wins over everything; else the flag of the step, else that of the build. */
function networkOf(
  { network }: RunInstruction,
  forced: 'default' | 'none' | 'host',
): 'default' | 'none' | 'host' {
  return network === 'default' ? forced : network
}

/** `<<EOF`, `<<-"the end"` */
const oneHeredoc = /^<<-?\s*(?:[^\s<'"]|"[^"]*"|'[^']*')+$/

interface Command {
  readonly args: readonly string[]
  readonly scripts: readonly ScriptFile[]
  /** The text of the one heredoc that is the command. */
  readonly script?: string
}

/** @see spec/dockerfile.md 1.5 */
function commandOf(instruction: RunInstruction, shell: readonly string[]): Command {
  const { command, heredocs, source } = instruction
  const [first] = heredocs
  if (command.form === 'exec' || first === undefined) return { args: argvOf(command, shell), scripts: [] }
  // With a file descriptor's number it is a redirection, and the shell's.
  const alone = heredocs.length === 1 && oneHeredoc.test(command.text.trim())
  if (!alone) {
    const bodies = heredocs.map((heredoc) => `${heredoc.content}${heredoc.name}`)
    return { args: [...shell, [command.text, ...bodies].join('\n')], scripts: [] }
  }
  const content = heredocText(first)
  if (!content.startsWith('#!')) return { args: [...shell, content], scripts: [], script: content }
  if (!isFileName(first.name)) {
    const message = `Cannot run heredoc "${first.name}": its word must be a file's name`
    throw new UserError('ERR_PATH_INVALID', message, { source })
  }
  const path = `/dev/pipes/${first.name}`
  return { args: [...shell, path], scripts: [{ path, content }], script: content }
}

/** `<<EOF` alone says nothing about a step. */
function firstLine(script: string): string {
  const [line = '', ...others] = script.trim().split(/\r?\n/)
  return others.length > 0 ? `${line}...` : line
}

function refuseUnsupported({ mounts, security, source }: RunInstruction): void {
  if (mounts.length > 0) throw unsupported('RUN --mount', source)
  if (security === 'insecure') throw unsupported('RUN --security=insecure', source)
}

function unsupported(what: string, source: SourceRange): UserError {
  return new UserError('ERR_UNSUPPORTED', `Cannot run this step: ${what} is not supported yet`, { source })
}
