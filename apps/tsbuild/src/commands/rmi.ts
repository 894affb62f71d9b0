import { splitName, visible } from '@tsbuild/command-line'
import { Command } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

interface RmiFlags extends GlobalFlags {
  readonly force?: true
}

/** `tsbuild rmi NAME...`: removes all of them, or nothing where one of them is not there. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = rmiCommand()
  parseArguments(command, argv)
  const flags = command.opts<RmiFlags>()
  const removed = await withBuilder(flags, host, (builder) =>
    builder.removeImages({ names: command.args, force: flags.force === true }),
  )
  for (const { name, digest, last } of removed) {
    if (name !== undefined) host.stdout.write(`Untagged: ${visible(familiar(name))}\n`)
    if (last) host.stdout.write(`Removed: ${digest}\n`)
  }
  return exitCodes.success
}

function familiar(full: string): string {
  const { name, tag } = splitName(full)
  return tag === '-' ? name : `${name}:${tag}`
}

/** The text of `tsbuild rmi --help`. */
export function help(): string {
  return helpText(rmiCommand())
}

function rmiCommand(): Command {
  const command = new Command('tsbuild rmi')
    .usage('[flags] NAME...')
    .description('Removes names from the local images. Layers stay in the cache until it is cleaned.')
    .argument('<NAME...>', 'for example `app:1.0`, or an image id or the beginning of one')
    .option('-f, --force', 'All names of an id, and no failure for what is not there')
  return addGlobalFlags(command)
}
