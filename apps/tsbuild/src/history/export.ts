import { resolve } from 'node:path'
import type { Builder } from '@tsbuild/builder'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { openResultFile } from '../build/results.ts'
import type { CommandModule } from '../commands.ts'
import { exitCodes } from '../exit-code.ts'
import { withBuilder } from '../with-builder.ts'
import { reportHtml } from './report-html.ts'

interface ExportFlags extends GlobalFlags {
  readonly output: string
}

/** `tsbuild history export [REF] -o FILE`. */
export const exportReport: CommandModule = {
  async run(argv, host) {
    const command = exportCommand()
    parseArguments(command, argv)
    const flags = command.opts<ExportFlags>()
    const [ref] = command.args
    const build = await withBuilder(flags, host, (builder: Builder) => builder.buildRecord(ref))
    const report = reportHtml(build, host.now())
    if (flags.output === '-') host.stdout.write(report)
    else await (await openResultFile(resolve(host.cwd, flags.output))).write(report)
    return exitCodes.success
  },
  help: () => helpText(exportCommand()),
}

function exportCommand(): Command {
  const command = new Command('tsbuild history export')
    .usage('[flags] -o FILE [REF]')
    .description(
      'Writes a build as one HTML page: when each step ran and for how long, which ones the build waited for, what came from the cache, and why the others did not.',
    )
    .argument(
      '[REF]',
      'of `tsbuild history ls`: a beginning is enough; `^1` is the one before the newest (default: the newest)',
    )
    .addOption(
      new Option('-o, --output <file>', 'Where the page goes; `-` is standard output').makeOptionMandatory(),
    )
  return addGlobalFlags(command)
}
