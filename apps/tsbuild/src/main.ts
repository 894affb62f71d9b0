import { runProgram } from '@tsbuild/command-line'
import { didYouMean, UserError } from '@tsbuild/errors'
import { type CommandRow, commands } from './commands.ts'
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
  // The arguments may be what is wrong, so the flag is looked for as a word.
  const debug = argv.includes('--debug') || argv.includes('-D')
  return await runProgram({ name: 'tsbuild', version, overview, debug, choose, find }, argv, host)
}

/** `tsbuild -t app .` builds. */
function choose(argv: readonly string[]) {
  const [first, ...rest] = argv
  if (first === undefined) return undefined
  const row = commandNamed(first)
  return row === undefined ? { row: defaultCommand(), argv } : { row, argv: rest }
}

function defaultCommand(): CommandRow {
  const [build] = commands
  if (build === undefined) throw new TypeError('The table of commands is empty')
  return build
}

function commandNamed(name: string): CommandRow | undefined {
  return commands.find((command) => command.name === name)
}

function find([name = '']: readonly string[]): CommandRow {
  const row = commandNamed(name)
  if (row !== undefined) return row
  throw new UserError('ERR_USAGE', `Cannot show help for "${name}": there is no such command`, {
    hints: didYouMean(
      name,
      commands.map((command) => command.name),
    ),
  })
}
