import type { Builder, BuildRecord } from '@tsbuild/builder'
import { oneOf } from '@tsbuild/command-line'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import type { CommandModule } from '../commands.ts'
import { exitCodes } from '../exit-code.ts'
import { withBuilder } from '../with-builder.ts'
import { showText } from './show-text.ts'

interface ShowFlags extends GlobalFlags {
  readonly format: 'text' | 'json'
}

/** `tsbuild history show [REF]`. */
export const show: CommandModule = {
  async run(argv, host) {
    const command = showCommand()
    parseArguments(command, argv)
    const flags = command.opts<ShowFlags>()
    const [ref] = command.args
    const build = await withBuilder(flags, host, (builder: Builder) => builder.buildRecord(ref))
    host.stdout.write(flags.format === 'json' ? await jsonOf(build) : showText(build, host.now()))
    return exitCodes.success
  },
  help: () => helpText(showCommand()),
}

async function jsonOf(build: BuildRecord): Promise<string> {
  const { historyFormat } = await import('@tsbuild/builder')
  return `${JSON.stringify({ format: historyFormat, ...build }, undefined, 2)}\n`
}

function showCommand(): Command {
  const command = new Command('tsbuild history show')
    .usage('[flags] [REF]')
    .description(
      'Shows all that is known of a build: what was asked for, each step with its time and why it ran, warnings, and the error.',
    )
    .argument(
      '[REF]',
      'of `tsbuild history ls`: a beginning is enough; `^1` is the one before the newest (default: the newest)',
    )
    .addOption(
      new Option('--format <format>', 'text or json')
        .default('text')
        .argParser(oneOf('--format', ['text', 'json'])),
    )
  return addGlobalFlags(command)
}
