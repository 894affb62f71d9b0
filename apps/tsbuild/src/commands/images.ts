import type { ListedImage } from '@tsbuild/builder'
import { collect, formatAge, formatSize, formatTable, oneOf, splitName, visible } from '@tsbuild/command-line'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { isTemplate, parseTemplate } from '../images/template.ts'
import { withBuilder } from '../with-builder.ts'

interface ImagesFlags extends GlobalFlags {
  readonly format: string
  readonly quiet?: true
  readonly filter?: readonly string[]
  readonly digests?: true
  /** `--no-trunc` makes it false. */
  readonly trunc: boolean
  readonly all?: true
}

/** `tsbuild images [NAME]`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = imagesCommand()
  parseArguments(command, argv)
  const flags = command.opts<ImagesFlags>()
  const names = command.args.map((name) => `reference=${name}`)
  const filters = [...(flags.filter ?? []), ...names]
  const images = await withBuilder(flags, host, (builder) =>
    builder.listImages({ filters, all: flags.all === true }),
  )
  host.stdout.write(text(images, flags, host.now()))
  return exitCodes.success
}

/** The text of `tsbuild images --help`. */
export function help(): string {
  return helpText(imagesCommand())
}

function imagesCommand(): Command {
  const command = new Command('tsbuild images')
    .usage('[flags] [NAME]')
    .description('Lists the local images.')
    .argument('[NAME]', 'only those of this name; `*` stands for any part of it')
    .addOption(
      new Option('--format <format>', 'table, json, or a template such as {{.repository}}:{{.tag}}')
        .default('table')
        .argParser((value: string) =>
          isTemplate(value) ? value : oneOf('--format', ['table', 'json'])(value),
        ),
    )
    .addOption(
      new Option(
        '-f, --filter <filter>',
        'reference=PATTERN, label=NAME[=VALUE], dangling=true, before=IMAGE or since=IMAGE; repeatable',
      ).argParser(collect),
    )
    .option('--digests', 'Show digests')
    .option('--no-trunc', 'Show whole ids')
    .option('-a, --all', 'Images without a name too')
    .option('-q, --quiet', 'Print the image ids only')
  return addGlobalFlags(command)
}

function text(images: readonly ListedImage[], flags: ImagesFlags, now: number): string {
  if (flags.format === 'json') return `${JSON.stringify(images, undefined, 2)}\n`
  if (flags.quiet === true)
    return images.map(({ configDigest, descriptor }) => `${configDigest ?? descriptor.digest}\n`).join('')
  if (isTemplate(flags.format)) {
    const fill = parseTemplate(flags.format)
    return images.map((image) => `${visible(fill({ ...image, ...cells(image, flags, now) }))}\n`).join('')
  }
  const platforms = images.some((image) => image.platforms.length > 1)
  const rows = images.map((image) => {
    const { repository, tag, digest, id, createdSince, size } = cells(image, flags, now)
    return [
      ...[repository, tag, ...(flags.digests === true ? [digest] : []), id, createdSince, size],
      ...(platforms ? [image.platform] : []),
    ].map(visible)
  })
  const heads = ['NAME', 'TAG', ...(flags.digests === true ? ['DIGEST'] : []), 'IMAGE ID', 'CREATED', 'SIZE']
  return formatTable([[...heads, ...(platforms ? ['PLATFORM'] : [])], ...rows])
}

/** What is shown of an image, by the names that docker's templates have. */
function cells(image: ListedImage, { trunc }: ImagesFlags, now: number) {
  const { name: repository, tag } =
    image.name === undefined ? { name: '<none>', tag: '<none>' } : splitName(image.name)
  const id = image.configDigest ?? image.descriptor.digest
  return {
    repository,
    tag,
    digest: image.descriptor.digest,
    id: trunc ? id.replace(/^sha256:/, '').slice(0, 12) : id,
    createdSince: formatAge(image.created, now),
    createdAt: image.created ?? '',
    size: formatSize(image.sizeBytes),
  }
}
