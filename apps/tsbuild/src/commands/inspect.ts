import type { Inspection } from '@tsbuild/builder'
import { oneOf } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { inspectText } from '../images/inspect-text.ts'
import { isTemplate, parseTemplate } from '../images/template.ts'
import { withBuilder } from '../with-builder.ts'

interface InspectFlags extends GlobalFlags {
  readonly format: string
  readonly raw?: true
  readonly config?: true
  readonly platform?: string
  readonly remote?: true
}

/** `tsbuild inspect IMAGE`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = inspectCommand()
  parseArguments(command, argv)
  const flags = command.opts<InspectFlags>()
  const [image = ''] = command.args
  const print = printerOf(flags, host.now())
  const found = await withBuilder(flags, host, (builder, signal) =>
    builder.inspectImage({
      image,
      remote: flags.remote === true,
      ...(flags.platform === undefined ? {} : { platform: flags.platform }),
      cwd: host.cwd,
      stdin: host.stdin,
      signal,
    }),
  )
  host.stdout.write(print(found))
  return exitCodes.success
}

/** What is printed of an image: the documents byte for byte, a template, JSON or text. @throws {UserError} `ERR_USAGE` */
export function printerOf(
  { format, raw, config }: Pick<InspectFlags, 'format' | 'raw' | 'config'>,
  now: number,
): (found: Inspection) => string | Buffer {
  if (raw === true && config === true)
    throw new UserError('ERR_USAGE', 'Cannot use --raw with --config: each prints one document')
  if (raw === true) return (found) => found.raw
  if (config === true)
    return (found) => {
      if (found.config !== undefined) return found.config
      throw new UserError(
        'ERR_IMAGE_NOT_FOUND',
        `Cannot print the config of ${found.report.place}: it is no image`,
      )
    }
  if (isTemplate(format)) {
    const fill = parseTemplate(format)
    return ({ report }) => `${fill({ ...report.image, ...report })}\n`
  }
  return ({ report }) =>
    format === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : inspectText(report, now)
}

/** The text of `tsbuild inspect --help`. */
export function help(): string {
  return helpText(inspectCommand())
}

function inspectCommand(): Command {
  const command = new Command('tsbuild inspect')
    .usage('[flags] IMAGE')
    .description(
      'Says what is known of an image without fetching its layers: of the local list, else of its registry.',
    )
    .argument('<IMAGE>', 'a name, a local id, or a place as of `tsbuild copy`')
  return addInspectFlags(command)
    .option('--config', 'Print the config, byte for byte')
    .option('--platform <platform>', "Of an image for several (default: this machine's own)")
    .option('--remote', 'Ask the registry even where there is a local image')
}

/** Flags that `tsbuild index inspect` has too. */
export function addInspectFlags(command: Command): Command {
  command
    .addOption(
      new Option('--format <format>', 'table, json, or a template such as {{.digest}}')
        .default('table')
        .argParser(formatOf),
    )
    .option('--raw', 'Print the manifest or index, byte for byte')
  return addGlobalFlags(command)
}

const formatOf = (value: string): string =>
  isTemplate(value) ? value : oneOf('--format', ['table', 'json'])(value)
