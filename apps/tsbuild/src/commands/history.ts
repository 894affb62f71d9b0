import { didYouMean, UserError } from '@tsbuild/errors'
import type { CommandModule } from '../commands.ts'
import { exitCodes } from '../exit-code.ts'
import { exportReport } from '../history/export.ts'
import { list } from '../history/list.ts'
import { logs } from '../history/logs.ts'
import { remove } from '../history/remove.ts'
import { show } from '../history/show.ts'
import type { Host } from '../host.ts'

interface Subcommand {
  readonly usage: string
  readonly summary: string
  readonly module: CommandModule
}

/** By name, in the order of the help. */
const subcommands: ReadonlyMap<string, Subcommand> = new Map([
  ['ls', { usage: 'ls', summary: 'List builds, the newest first', module: list }],
  ['show', { usage: 'show [REF]', summary: 'Show all that is known of a build', module: show }],
  [
    'logs',
    { usage: 'logs [REF [STEP]]', summary: 'Print what a step wrote, as `tsbuild logs`', module: logs },
  ],
  [
    'export',
    { usage: 'export -o FILE [REF]', summary: 'Write a build as an HTML page', module: exportReport },
  ],
  ['rm', { usage: 'rm REF...', summary: 'Take builds out of the history', module: remove }],
])

/** What buildx calls them. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['list', 'ls'],
  ['inspect', 'show'],
  ['remove', 'rm'],
])

/** `tsbuild history [ls|show|logs|export|rm]`; without one of them it lists. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const [first, ...rest] = argv
  if (first === '-h' || first === '--help') {
    host.stdout.write(help())
    return exitCodes.success
  }
  if (first === undefined || first.startsWith('-')) return await list.run(argv, host)
  const found = subcommands.get(aliases.get(first) ?? first)
  if (found !== undefined) return await found.module.run(rest, host)
  throw new UserError('ERR_USAGE', `Cannot run "history ${first}": there is no such command`, {
    hints: [...didYouMean(first, [...subcommands.keys()]), 'Run `tsbuild history --help` for all of them.'],
  })
}

/** The text of `tsbuild history --help`. */
export function help(): string {
  const rows = [...subcommands.values()]
  const width = Math.max(...rows.map(({ usage }) => usage.length)) + 2
  return `Usage: tsbuild history [COMMAND] [flags]

Shows what builds did: the last 100 of this store, of 30 days, with the whole
output of each step. Without a command it lists them.

Commands:
${rows.map(({ usage, summary }) => `  ${usage.padEnd(width)}${summary}`).join('\n')}

REF is a ref of \`tsbuild history ls\` or the beginning of one; \`^0\` is the newest
build, \`^1\` the one before. \`tsbuild history COMMAND --help\` shows the flags.
`
}
