import { UserError } from '@tsbuild/errors'
import { Command } from 'commander'
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

interface PullFlags extends TransferFlags, PlatformFlags {
  readonly allPlatforms?: true
  readonly referrers?: true
}

/** `tsbuild pull NAME...`: prints what docker prints, and ends with the full name; with `-q` the name alone. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = pullCommand()
  parseArguments(command, argv)
  const flags = command.opts<PullFlags>()
  const platforms = flags.allPlatforms === true ? ('all' as const) : platformList(flags)
  if (flags.allPlatforms === true && flags.platform !== undefined)
    throw new UserError('ERR_USAGE', 'Cannot use --all-platforms with --platform: they contradict each other')
  await withTransfer(flags, host, async (builder, transfer) => {
    for (const name of command.args) {
      const pulled = await builder.pullImage({
        name,
        ...(platforms === undefined ? {} : { platforms }),
        referrers: flags.referrers === true,
        ...transfer,
      })
      const status = pulled.changed ? 'Downloaded newer image' : 'Image is up to date'
      const lines =
        flags.quiet === true ? '' : `Digest: ${pulled.descriptor.digest}\nStatus: ${status} for ${name}\n`
      host.stdout.write(`${lines}${pulled.name}\n`)
    }
  })
  return exitCodes.success
}

/** The text of `tsbuild pull --help`. */
export function help(): string {
  return helpText(pullCommand())
}

function pullCommand(): Command {
  const command = new Command('tsbuild pull')
    .usage('[flags] NAME...')
    .description('Brings images of a registry into the local image list.')
    .argument('<NAME...>', 'for example `debian:bookworm`')
    .option('--all-platforms', 'Everything that the name stands for, attestations included')
    .option('--referrers', 'Signatures and attestations that are kept beside the image too')
  return addTransferFlags(
    addPlatformFlag(
      command,
      "Of an image for several, for example linux/arm64; repeatable (default: this machine's own)",
    ),
  )
}
