import type { FailedStep } from '@tsbuild/builder'
import { collect, formatAge, formatTable, oneOf, visible } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { entitlementOf } from '../build/execution-flags.ts'
import { parseSecrets } from '../build/secrets.ts'
import { parseSsh } from '../build/ssh.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'
import { withProgram } from '../with-program.ts'

interface ShellFlags extends GlobalFlags {
  readonly before?: true
  readonly after?: true
  readonly secret?: readonly string[]
  readonly ssh?: readonly string[]
  readonly allow?: readonly string[]
  readonly list?: true
  readonly format: 'table' | 'json'
}

/** `tsbuild shell [REF] [-- COMMAND...]`: the exit code is the shell's. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = shellCommand()
  const [own, args] = atDashes(argv)
  parseArguments(command, own)
  const flags = command.opts<ShellFlags>()
  const [ref] = command.args
  refuseContradictions(flags, ref, args)
  if (flags.list === true) return await list(flags, host)
  const terminal = host.stdin.isTTY === true && host.stdout.isTTY === true
  const options = {
    ...(ref === undefined ? {} : { ref }),
    when: flags.before === true ? 'before' : 'after',
    ...(args === undefined ? {} : { args }),
    secrets: parseSecrets(flags.secret ?? [], host),
    ssh: parseSsh(flags.ssh ?? [], host),
    allow: (flags.allow ?? []).map(entitlementOf),
    terminal,
    ...(terminal
      ? { onOpen: (step: FailedStep) => void host.stderr.write(openedText(step, flags, host)) }
      : {}),
    onNotice: (message: string) => void host.stderr.write(`Note: ${visible(message)}\n`),
  } as const
  return await withProgram(flags, host, options.terminal, (builder, foreground) =>
    builder.shell({ ...options, ...foreground }),
  )
}

/** The text of `tsbuild shell --help`. */
export function help(): string {
  return helpText(shellCommand())
}

function shellCommand(): Command {
  const command = new Command('tsbuild shell')
    .usage('[flags] [REF] [-- COMMAND...]')
    .description(
      "Opens a shell where a RUN step failed: in its files, with its mounts, environment, user and network. What it changes is thrown away. Without a terminal it reads what to do from standard input. Ends with the shell's exit code.",
    )
    .argument('[REF]', 'the build, of `--list` (default: the last one with a failed step)')
    .option('--after', 'In the files as the step left them (the default)')
    .option('--before', 'In the files as they were before the step')
    .addOption(
      new Option('--secret <secret>', 'A secret of the step, as for a build; repeatable').argParser(collect),
    )
    .addOption(
      new Option('--ssh <agent>', 'An agent of the step, as for a build; repeatable').argParser(collect),
    )
    .addOption(
      new Option(
        '--allow <entitlement>',
        'What the step was allowed: network.host, security.insecure',
      ).argParser(collect),
    )
    .option('--list', 'List the failed steps that are kept')
    .addOption(
      new Option('--format <format>', 'Of the list: table or json')
        .default('table')
        .argParser(oneOf('--format', ['table', 'json'])),
    )
  return addGlobalFlags(command)
}

/** What follows `--` is the program's, flags included. */
function atDashes(
  argv: readonly string[],
): readonly [own: readonly string[], args: readonly string[] | undefined] {
  const at = argv.indexOf('--')
  return at < 0 ? [argv, undefined] : [argv.slice(0, at), argv.slice(at + 1)]
}

function refuseContradictions(
  flags: ShellFlags,
  ref: string | undefined,
  args: readonly string[] | undefined,
): void {
  if (flags.before === true && flags.after === true)
    throw new UserError('ERR_USAGE', 'Cannot use both --before and --after')
  if (args !== undefined && (args[0] ?? '') === '')
    throw new UserError('ERR_USAGE', 'Cannot run nothing: expected a program after `--`')
  if (flags.list === true && (ref !== undefined || args !== undefined))
    throw new UserError('ERR_USAGE', 'Cannot use --list with a build or a program: it lists what is kept')
}

/** Who types should know where: the last step that failed may be another than the one thought of. */
function openedText({ name, at }: FailedStep, { before }: ShellFlags, host: Host): string {
  const state = before === true ? 'before it ran' : 'as it was when it failed'
  return `${oneLine(name)}: ${state}, ${age(at, host)}. What you change is thrown away.\n`
}

function age(at: number, { now }: Host): string {
  return formatAge(new Date(at).toISOString(), now())
}

async function list(flags: ShellFlags, host: Host): Promise<number> {
  const steps = await withBuilder(flags, host, (builder) => builder.failures())
  host.stdout.write(
    flags.format === 'json' ? `${JSON.stringify(steps, undefined, 2)}\n` : failureTable(steps, host.now()),
  )
  return exitCodes.success
}

/** A heredoc has many. */
function oneLine(name: string): string {
  const line = visible(name.replace(/\s+/g, ' '))
  return line.length > 60 ? `${line.slice(0, 59)}…` : line
}

function failureTable(steps: readonly FailedStep[], now: number): string {
  const rows = steps.map(({ ref, at, name, source, code, exitCode }) => [
    ref,
    formatAge(new Date(at).toISOString(), now),
    source === null ? '-' : visible(`${source.file}:${source.startLine}`),
    exitCode === null ? code : String(exitCode),
    oneLine(name),
  ])
  return formatTable([['BUILD', 'FAILED', 'PLACE', 'EXIT CODE', 'STEP'], ...rows])
}
