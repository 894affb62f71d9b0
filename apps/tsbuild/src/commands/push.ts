import { splitName } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Command } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { addTransferFlags, type TransferFlags } from '../images/transfer-flags.ts'
import { withTransfer } from '../images/with-transfer.ts'

interface PushFlags extends TransferFlags {
  readonly allTags?: true
  readonly platform?: string
  readonly referrers?: true
}

/** `tsbuild push NAME...`: prints a line for each tag, as docker does; with `-q` the full names alone. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = pushCommand()
  parseArguments(command, argv)
  const flags = command.opts<PushFlags>()
  if (flags.platform?.includes(',') === true)
    throw new UserError('ERR_USAGE', `Cannot push for "${flags.platform}": one platform or all of them`)
  await withTransfer(flags, host, async (builder, transfer) => {
    for (const name of command.args) {
      const pushed = await builder.pushImage({
        name,
        allTags: flags.allTags === true,
        ...(flags.platform === undefined ? {} : { platform: flags.platform }),
        referrers: flags.referrers === true,
        ...transfer,
      })
      for (const { name: full, descriptor } of pushed) {
        const line = `${splitName(full).tag}: digest: ${descriptor.digest} size: ${descriptor.size}`
        host.stdout.write(`${flags.quiet === true ? full : line}\n`)
      }
    }
  })
  return exitCodes.success
}

/** The text of `tsbuild push --help`. */
export function help(): string {
  return helpText(pushCommand())
}

function pushCommand(): Command {
  const command = new Command('tsbuild push')
    .usage('[flags] NAME...')
    .description('Sends local images to the registries that their names say.')
    .argument('<NAME...>', 'for example `registry.example/app:1.0`')
    .option('-a, --all-tags', 'Every local tag of a repository')
    .option('--platform <platform>', 'Of an image for several platforms, this one only')
    .option('--referrers', 'What the store has about the image too: signatures, attestations')
  return addTransferFlags(command)
}
