import type { LocalImage } from '@tsbuild/builder'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { oneOf } from '../argv/values.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { formatAge, formatSize, formatTable, splitName } from '../table.ts'
import { withBuilder } from '../with-builder.ts'

interface ImagesFlags extends GlobalFlags {
  readonly format: 'table' | 'json'
  readonly quiet?: true
}

/** `tsbuild images`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = imagesCommand()
  parseArguments(command, argv)
  const flags = command.opts<ImagesFlags>()
  const images = await withBuilder(flags, host, (builder) => builder.images())
  if (flags.format === 'json') host.stdout.write(`${JSON.stringify(images, undefined, 2)}\n`)
  else if (flags.quiet === true) host.stdout.write(images.map((image) => `${image.configDigest}\n`).join(''))
  else host.stdout.write(imageTable(images, host.now()))
  return exitCodes.success
}

/** The text of `tsbuild images --help`. */
export function help(): string {
  return helpText(imagesCommand())
}

function imagesCommand(): Command {
  const command = new Command('tsbuild images')
    .usage('[flags]')
    .description('Lists the local images.')
    .addOption(
      new Option('--format <format>', 'table or json')
        .default('table')
        .argParser(oneOf('--format', ['table', 'json'])),
    )
    .option('-q, --quiet', 'Print the image ids only')
  return addGlobalFlags(command)
}

function imageTable(images: readonly LocalImage[], now: number): string {
  const rows = images.map((image) => {
    const { name, tag } = splitName(image.name)
    const id = image.configDigest.replace(/^sha256:/, '').slice(0, 12)
    return [name, tag, id, formatAge(image.created, now), formatSize(image.sizeBytes)]
  })
  return formatTable([['NAME', 'TAG', 'IMAGE ID', 'CREATED', 'SIZE'], ...rows])
}
