import { classifyError, exitCodeOf, exitCodes, HelpRequested } from '@tsbuild/command-line'
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
  try {
    return await dispatch(argv, host)
  } catch (thrown) {
    if (thrown instanceof HelpRequested) {
      host.stdout.write(thrown.text)
      return exitCodes.success
    }
    return await fail(classifyError(thrown), host)
  }
}

async function fail(error: unknown, host: Host): Promise<number> {
  const { reportError } = await import('@tsbuild/command-line')
  const options = { cwd: host.cwd, debug: false, program: 'cache-server', version: version() }
  host.stderr.write(reportError(error, options))
  return exitCodeOf(error)
}

async function dispatch(argv: readonly string[], host: Host): Promise<number> {
  const [first, ...rest] = argv
  switch (first) {
    case '-v':
    case '--version':
    case 'version':
      host.stdout.write(`cache-server ${version()}\n`)
      return exitCodes.success
    case '-h':
    case '--help':
    case 'help':
      host.stdout.write(rest.length === 0 ? overview() : (await find(rest).row.load()).help())
      return exitCodes.success
    default: {
      // `cache-server --dir DIR` serves.
      if (first === undefined || first.startsWith('-')) return await run(serve(), argv, host)
      const { row, words } = find(argv)
      return await run(row, argv.slice(words), host)
    }
  }
}

function serve(): CommandRow {
  const [row] = commands
  if (row === undefined) throw new TypeError('The table of commands is empty')
  return row
}

async function run(row: CommandRow, argv: readonly string[], host: Host): Promise<number> {
  const command = await row.load()
  return await command.run(argv, host)
}

function find(argv: readonly string[]): { row: CommandRow; words: number } {
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
