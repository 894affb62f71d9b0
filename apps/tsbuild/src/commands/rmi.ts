import { Command } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

/** `tsbuild rmi NAME...`: stops at the first name that is not there. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = rmiCommand()
  parseArguments(command, argv)
  await withBuilder(command.opts<GlobalFlags>(), host, async (builder) => {
    for (const name of command.args) {
      await builder.removeImage(name)
      host.stdout.write(`${name}\n`)
    }
  })
  return exitCodes.success
}

/** The text of `tsbuild rmi --help`. */
export function help(): string {
  return helpText(rmiCommand())
}

function rmiCommand(): Command {
  const command = new Command('tsbuild rmi')
    .usage('[flags] NAME...')
    .description('Removes names from the local images. Layers stay in the cache until it is cleaned.')
    .argument('<NAME...>', 'for example `app:1.0`')
  return addGlobalFlags(command)
}
