import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text as readText } from 'node:stream/consumers'
import { collect } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { addTransferFlags, type TransferFlags } from './transfer-flags.ts'
import { withTransfer } from './with-transfer.ts'

interface CreateFlags extends TransferFlags {
  readonly tag?: readonly string[]
  readonly file?: readonly string[]
  readonly annotation?: readonly string[]
  readonly append?: true
  readonly dryRun?: true
  readonly preferIndex: boolean
}

/** `tsbuild index create`: prints the digest; with `--dry-run` the document. */
export const createIndex = {
  async run(argv: readonly string[], host: Host): Promise<number> {
    const command = createCommand()
    parseArguments(command, argv)
    const flags = command.opts<CreateFlags>()
    const descriptors = await Promise.all((flags.file ?? []).map((path) => readDescriptor(path, host)))
    const made = await withTransfer(flags, host, (builder, transfer) =>
      builder.createIndex({
        names: flags.tag ?? [],
        sources: command.args,
        descriptors,
        annotations: flags.annotation ?? [],
        append: flags.append === true,
        preferIndex: flags.preferIndex,
        dryRun: flags.dryRun === true,
        cwd: host.cwd,
        ...transfer,
      }),
    )
    host.stdout.write(flags.dryRun === true ? `${made.raw.toString()}\n` : `${made.descriptor.digest}\n`)
    return exitCodes.success
  },
  help: () => helpText(createCommand()),
}

async function readDescriptor(path: string, host: Host): Promise<string> {
  if (path === '-') return await readText(host.stdin)
  try {
    return await readFile(resolve(host.cwd, path), 'utf8')
  } catch (cause) {
    throw new UserError(
      'ERR_USAGE',
      `Cannot read the descriptor "${path}": ${cause instanceof Error ? cause.message : ''}`,
      { cause },
    )
  }
}

function createCommand(): Command {
  const command = new Command('tsbuild index create')
    .usage('[flags] -t NAME SOURCE...')
    .description(
      'Makes an index of images that exist, in a registry. Only what the repository lacks is moved.',
    )
    .argument('[SOURCE...]', 'names of images or indexes, or places as of `tsbuild copy`')
    .addOption(new Option('-t, --tag <name>', 'What the index is called; repeatable').argParser(collect))
    .addOption(
      new Option('-f, --file <file>', 'A file with the descriptor of a manifest; repeatable').argParser(
        collect,
      ),
    )
    .addOption(
      new Option(
        '--annotation <annotation>',
        '[index:|manifest-descriptor[PLATFORM]:]NAME=VALUE; repeatable',
      ).argParser(collect),
    )
    .option('--append', 'Add to the index that NAME has')
    .option('--dry-run', 'Print the index and send nothing')
    // One flag and its opposite, as buildx has it.
    .addOption(new Option('--prefer-index', 'Make an index of a single manifest too').default(true))
    .addOption(new Option('--no-prefer-index', 'Copy a single manifest as it is'))
  return addTransferFlags(command)
}
