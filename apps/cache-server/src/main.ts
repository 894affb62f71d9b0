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
  const find = (words: readonly string[]): CommandRow => findCommand(words).row
  return await runProgram({ name: 'cache-server', version, overview, debug: false, choose, find }, argv, host)
}

/** `cache-server --dir DIR` serves. */
function choose(argv: readonly string[]) {
  const [first] = argv
  if (first === undefined || first.startsWith('-')) return { row: serve(), argv }
  const { row, words } = findCommand(argv)
  return { row, argv: argv.slice(words) }
}

function serve(): CommandRow {
  const [row] = commands
  if (row === undefined) throw new TypeError('The table of commands is empty')
  return row
}

function findCommand(argv: readonly string[]): { row: CommandRow; words: number } {
  for (const words of [2, 1]) {
    const row = commands.find(({ name }) => name === argv.slice(0, words).join(' '))
    if (row !== undefined) return { row, words }
  }
  const names = commands.map(({ name }) => name)
  const [first = ''] = argv
  const inGroup = names.filter((name) => name.startsWith(`${first} `))
  const [said, among] = inGroup.length > 0 ? [argv.slice(0, 2).join(' '), inGroup] : [first, names]
  const known = didYouMean(said, among)
  throw new UserError('ERR_USAGE', `Cannot run "${said}": there is no such command`, {
    hints: known.length > 0 ? known : [`One of: ${among.join(', ')}.`],
  })
}
