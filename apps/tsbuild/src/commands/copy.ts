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

interface CopyFlags extends TransferFlags, PlatformFlags {
  readonly all?: true
  readonly referrers?: true
}

/** `tsbuild copy FROM TO`: prints the digest that the image has in its new place. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = copyCommand()
  parseArguments(command, argv)
  const flags = command.opts<CopyFlags>()
  const [from = '', to = ''] = command.args
  const platforms = platformList(flags)
  if (flags.all === true && platforms !== undefined)
    throw new UserError('ERR_USAGE', 'Cannot use --all with --platform: they contradict each other')
  const copied = await withTransfer(flags, host, (builder, transfer) =>
    builder.copyImage({
      from,
      to,
      ...(flags.all === true ? { platforms: 'all' as const } : platforms && { platforms }),
      referrers: flags.referrers === true,
      cwd: host.cwd,
      stdin: host.stdin,
      stdout: host.stdout,
      ...transfer,
    }),
  )
  // Where the archive goes to standard output, nothing else does.
  const out = /(?:^|:)-(?::|$)/.test(to) ? host.stderr : host.stdout
  out.write(`${copied.descriptor.digest}\n`)
  return exitCodes.success
}

/** The text of `tsbuild copy --help`. */
export function help(): string {
  return helpText(copyCommand())
}

function copyCommand(): Command {
  const command = new Command('tsbuild copy')
    .usage('[flags] FROM TO')
    .description(
      'Copies an image from one place to another, byte for byte. Places: docker://NAME or NAME, store:NAME, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], - for an archive on standard input or output.',
    )
    .argument('<FROM>', 'where the image is')
    .argument('<TO>', 'where it is to be')
    .option(
      '-a, --all',
      'All platforms, attestations included; without it and --platform too, except into a docker-archive',
    )
    .option('--referrers', 'Signatures and attestations that are kept beside the image too')
    // Digests are never changed.
    .addOption(new Option('--preserve-digests').hideHelp())
  return addTransferFlags(addPlatformFlag(command, 'Of an image for several platforms, this one; repeatable'))
}
