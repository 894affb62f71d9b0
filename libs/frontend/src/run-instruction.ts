import { heredocText, type RunInstruction } from '@tsbuild/dockerfile'
import { type SourceRange, UserError } from '@tsbuild/errors'
import { type Entitlement, type ExecOp, entitlementsOf, type ScriptFile } from '@tsbuild/graph'
import { formatPlatform, normalizePlatform } from '@tsbuild/oci'
import { argvOf, history } from './history.ts'
import { shellOf } from './metadata-instructions.ts'
import { addMounts } from './mounts.ts'
import { isFileName } from './paths.ts'
import { type Scope, splitAssignment } from './scope.ts'
import type { StageBuilder } from './stage-builder.ts'
import { nextStepName, type StageState } from './stage-state.ts'
import type { FrontendOptions } from './types.ts'

/**
 * Adds the step of a RUN.
 *
 * @throws {UserError} `ERR_ENTITLEMENT`, `ERR_PATH_INVALID`; see `addMounts`
 * @see spec/dockerfile.md 2
 */
export async function addRun(
  builder: StageBuilder,
  state: StageState,
  instruction: RunInstruction,
): Promise<void> {
  const { graph, options } = builder
  const { source } = instruction
  const asked = { network: networkOf(instruction, options.network), security: instruction.security }
  refuseUnallowed(asked, options, source)
  const shell = shellOf(state)
  const { args, scripts, script } = commandOf(instruction, shell)
  const rootfs = state.rootfs === undefined ? [] : [state.rootfs]
  const { mounts, inputs } = await addMounts(builder, state, instruction, rootfs.length)
  const op = {
    kind: 'exec',
    rootfs: state.rootfs === undefined ? undefined : 0,
    args,
    ...(instruction.command.form === 'exec' ? {} : { shell }),
    env: state.scope.environment(),
    ...envOrder(state.scope),
    argNames: state.scope.args().map((entry) => splitAssignment(entry)[0]),
    cwd: state.config.workingDir || '/',
    user: state.config.user ?? '',
    ...asked,
    hostname: builder.hostname,
    extraHosts: options.extraHosts,
    platform: formatPlatform(normalizePlatform(state.platform)),
    scripts,
    mounts,
    ulimits: options.ulimits,
    shmSizeBytes: options.shmSizeBytes,
    cgroupParent: options.cgroupParent,
    ...(instruction.maxAgeMs === null ? {} : { maxAgeMs: instruction.maxAgeMs }),
  } as const
  state.rootfs = graph.add(op, {
    inputs: [...rootfs, ...inputs],
    name: nextStepName(
      state,
      script === undefined ? instruction.original : `${instruction.original} (${firstLine(script)})`,
    ),
    source,
    ignoreCache: state.ignoreCache,
  })
  state.history.push({ createdBy: history.run(state.scope.args(), args), emptyLayer: false })
}

/** Left out where it is the order in which they stand, as it almost always is. */
function envOrder(scope: Scope): Pick<ExecOp, 'envOrder'> {
  const names = scope.environment().map((entry) => splitAssignment(entry)[0])
  const places = new Map(names.map((name, place) => [name, place]))
  const order = scope.lastSet().flatMap((name) => places.get(name) ?? [])
  return order.every((place, index) => place === index) ? {} : { envOrder: order }
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

/** `network: 'host'` of the build is the caller's own word, and allows itself. The executor asks once more. */
function refuseUnallowed(
  op: Pick<ExecOp, 'network' | 'security'>,
  { allow, network }: FrontendOptions,
  source: SourceRange,
): void {
  const own: readonly Entitlement[] = network === 'host' ? ['network.host'] : []
  const missing = entitlementsOf(op).find((wanted) => ![...allow, ...own].includes(wanted))
  if (missing === undefined) return
  const message = `Cannot run this step: entitlement ${missing} is not allowed`
  const hint = `Give \`--allow ${missing}\` if you trust the Dockerfile with ${entrusted[missing]}.`
  throw new UserError('ERR_ENTITLEMENT', message, { source, hints: [hint] })
}

const entrusted: Readonly<Record<Entitlement, string>> = {
  'network.host': 'the network of this machine, and with what listens on it',
  'security.insecure': 'this machine',
}
