import { oneOf } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import {
  addPlatformFlag,
  addTransferFlags,
  type PlatformFlags,
  platformList,
  type TransferFlags,
} from '../images/transfer-flags.ts'
import { withTransfer } from '../images/with-transfer.ts'

interface SaveFlags extends TransferFlags, PlatformFlags {
  readonly output?: string
  readonly format: 'docker' | 'oci'
  readonly referrers?: true
}

/** `tsbuild save NAME...`: one archive with all of them, to a file or to standard output. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = saveCommand()
  parseArguments(command, argv)
  const flags = command.opts<SaveFlags>()
  const { output = '-' } = flags
  if (output === '-' && host.stdout.isTTY === true)
    throw new UserError('ERR_USAGE', 'Cannot write an archive to a terminal', {
      hints: ['Name a file with --output.'],
    })
  const platforms = platformList(flags)
  await withTransfer(flags, host, (builder, transfer) =>
    builder.saveImages({
      names: command.args,
      format: flags.format,
      output,
      ...(platforms === undefined ? {} : { platforms }),
      referrers: flags.referrers === true,
      cwd: host.cwd,
      stdout: host.stdout,
      ...transfer,
    }),
  )
  return exitCodes.success
}

/** The text of `tsbuild save --help`. */
export function help(): string {
  return helpText(saveCommand())
}

function saveCommand(): Command {
  const command = new Command('tsbuild save')
    .usage('[flags] NAME...')
    .description('Writes local images into an archive, for `docker load`, `podman load` or `tsbuild load`.')
    .argument('<NAME...>', 'local names or image ids')
    .option('-o, --output <file>', 'Where to (default: standard output)')
    .addOption(
      new Option('--format <format>', 'docker or oci')
        .default('docker')
        .argParser(oneOf('--format', ['docker', 'oci'])),
    )
    .option('--referrers', 'What the store has about the images too; OCI archives only')
  return addTransferFlags(addPlatformFlag(command, 'Of images for several platforms, this one; repeatable'))
}
