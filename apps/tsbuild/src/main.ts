import { classifyError, HelpRequested } from '@tsbuild/command-line'
import { didYouMean, UserError } from '@tsbuild/errors'
import { type CommandRow, commands } from './commands.ts'
import { exitCodeOf, exitCodes } from './exit-code.ts'
import type { Host } from './host.ts'
import { overview } from './overview.ts'
import { version } from './version.ts'

/**
 * The command: runs what the arguments say and reports what goes wrong to standard error.
 *
 * @param argv the arguments without the program
 * @returns the exit code; never throws
 */
export async function main(argv: readonly string[], host: Host): Promise<number> {
  try {
    return await dispatch(argv, host)
  } catch (thrown) {
    if (thrown instanceof HelpRequested) {
      host.stdout.write(thrown.text)
      return exitCodes.success
    }
    return await fail(classifyError(thrown), argv, host)
  }
}

async function fail(error: unknown, argv: readonly string[], host: Host): Promise<number> {
  const code = exitCodeOf(error)
  const { reportError } = await import('./report-error.ts')
  // The arguments may be what is wrong, so the flag is looked for as a word.
  const debug = argv.includes('--debug') || argv.includes('-D')
  const text =
    code === exitCodes.cancelled
      ? 'Cancelled\n'
      : reportError(error, { cwd: host.cwd, debug, version: version() })
  host.stderr.write(text)
  return code
}

async function dispatch(argv: readonly string[], host: Host): Promise<number> {
  const [first, ...rest] = argv
  switch (first) {
    case undefined:
      host.stderr.write(overview())
      return exitCodes.usage
    case '-v':
    case '--version':
    case 'version':
      host.stdout.write(`tsbuild ${version()}\n`)
      return exitCodes.success
    case '-h':
    case '--help':
    case 'help':
      host.stdout.write(await helpOf(rest[0]))
      return exitCodes.success
    default: {
      const row = commands.find((command) => command.name === first)
      if (row !== undefined) return await runCommand(row, rest, host)
      return await runCommand(defaultCommand(), argv, host)
    }
  }
}

/** `tsbuild -t app .` builds. */
function defaultCommand(): CommandRow {
  const [build] = commands
  if (build === undefined) throw new TypeError('The table of commands is empty')
  return build
}

async function runCommand(row: CommandRow, argv: readonly string[], host: Host): Promise<number> {
  const command = await row.load()
  return await command.run(argv, host)
}

async function helpOf(name: string | undefined): Promise<string> {
  if (name === undefined) return overview()
  const row = commands.find((command) => command.name === name)
  if (row !== undefined) return (await row.load()).help()
  throw new UserError('ERR_USAGE', `Cannot show help for "${name}": there is no such command`, {
    hints: didYouMean(
      name,
      commands.map((command) => command.name),
    ),
  })
}
