import { splitName, visible } from '@tsbuild/command-line'
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

interface LoadFlags extends TransferFlags, PlatformFlags {
  readonly input?: string
}

/** `tsbuild load`: prints docker's `Loaded image: NAME` for each name, and the digest of what has none. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = loadCommand()
  parseArguments(command, argv)
  const flags = command.opts<LoadFlags>()
  const { input = '-' } = flags
  if (input === '-' && host.stdin.isTTY === true)
    throw new UserError('ERR_USAGE', 'Cannot read an archive from a terminal', {
      hints: ['Name a file with --input.'],
    })
  const platforms = platformList(flags)
  const loaded = await withTransfer(flags, host, (builder, transfer) =>
    builder.loadImages({
      input,
      ...(platforms === undefined ? {} : { platforms }),
      cwd: host.cwd,
      stdin: host.stdin,
      ...transfer,
    }),
  )
  const lines = loaded.flatMap(({ names, descriptor }) =>
    names.length === 0
      ? [flags.quiet === true ? descriptor.digest : `Loaded image ID: ${descriptor.digest}`]
      : names.map((name) => (flags.quiet === true ? name : `Loaded image: ${familiar(name)}`)),
  )
  host.stdout.write(lines.map((line) => `${visible(line)}\n`).join(''))
  return exitCodes.success
}

function familiar(name: string): string {
  const { name: repository, tag } = splitName(name)
  return tag === '-' ? repository : `${repository}:${tag}`
}

/** The text of `tsbuild load --help`. */
export function help(): string {
  return helpText(loadCommand())
}

function loadCommand(): Command {
  const command = new Command('tsbuild load')
    .usage('[flags]')
    .description(
      'Brings the images of an archive into the local image list: of `docker save`, `podman save`, skopeo or tsbuild, also compressed with gzip or zstd.',
    )
    .option('-i, --input <file>', 'The archive (default: standard input)')
  return addTransferFlags(addPlatformFlag(command, 'Of images for several platforms, this one; repeatable'))
}
