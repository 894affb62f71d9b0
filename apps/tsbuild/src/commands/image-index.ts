import { didYouMean, UserError } from '@tsbuild/errors'
import type { CommandModule } from '../commands.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { createIndex } from '../images/index-create.ts'
import { inspectIndex } from '../images/index-inspect.ts'

const subcommands: ReadonlyMap<string, CommandModule> = new Map([
  ['create', createIndex],
  ['inspect', inspectIndex],
])

/** `tsbuild index create|inspect`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const [first, ...rest] = argv
  if (first === '-h' || first === '--help') {
    host.stdout.write(help())
    return exitCodes.success
  }
  const found = subcommands.get(first ?? '')
  if (found !== undefined) return await found.run(rest, host)
  const state = first === undefined ? 'it needs a command' : `there is no command "${first}"`
  throw new UserError('ERR_USAGE', `Cannot run "index": ${state}`, {
    hints: [
      ...didYouMean(first ?? '', [...subcommands.keys()]),
      'Run `tsbuild index --help` for all of them.',
    ],
  })
}

/** The text of `tsbuild index --help`. */
export function help(): string {
  return `Usage: tsbuild index COMMAND [flags]

Makes and shows indexes in registries: names that stand for images of several
platforms.

Commands:
  create -t NAME SOURCE...  Make an index of images that exist
  inspect NAME              Show what a name of a registry stands for

\`tsbuild index COMMAND --help\` shows the flags.
`
}
