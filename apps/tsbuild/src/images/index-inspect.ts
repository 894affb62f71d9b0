import { Command } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import type { GlobalFlags } from '../argv/global-flags.ts'
import { addInspectFlags, printerOf } from '../commands/inspect.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

interface InspectFlags extends GlobalFlags {
  readonly format: string
  readonly raw?: true
}

/** `tsbuild index inspect`: what a name of a registry stands for, whatever the local list has. */
export const inspectIndex = {
  async run(argv: readonly string[], host: Host): Promise<number> {
    const command = inspectCommand()
    parseArguments(command, argv)
    const flags = command.opts<InspectFlags>()
    const [image = ''] = command.args
    const print = printerOf(flags, host.now())
    const found = await withBuilder(flags, host, (builder, signal) =>
      builder.inspectImage({ image, remote: true, cwd: host.cwd, signal }),
    )
    host.stdout.write(print(found))
    return exitCodes.success
  },
  help: () => helpText(inspectCommand()),
}

function inspectCommand(): Command {
  const command = new Command('tsbuild index inspect')
    .usage('[flags] NAME')
    .description('Shows what a name of a registry stands for.')
    .argument('<NAME>', 'for example `debian:bookworm`')
  return addInspectFlags(command)
}
