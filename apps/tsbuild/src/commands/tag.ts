import { Command } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

/** `tsbuild tag SOURCE TARGET`: prints nothing. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = tagCommand()
  parseArguments(command, argv)
  const [source = '', target = ''] = command.args
  await withBuilder(command.opts<GlobalFlags>(), host, (builder) => builder.tagImage(source, target))
  return exitCodes.success
}

/** The text of `tsbuild tag --help`. */
export function help(): string {
  return helpText(tagCommand())
}

function tagCommand(): Command {
  const command = new Command('tsbuild tag')
    .usage('[flags] SOURCE TARGET')
    .description("Gives a local image one more name; a name that is another image's moves.")
    .argument('<SOURCE>', 'a local name, or an image id or the beginning of one')
    .argument('<TARGET>', 'for example `registry.example/app:1.0`')
  return addGlobalFlags(command)
}
