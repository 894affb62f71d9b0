import type { FieldDifference, FileDifference, ImageComparison, LayerComparison } from '@tsbuild/builder'
import { oneOf, visible } from '@tsbuild/command-line'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

interface CompareFlags extends GlobalFlags {
  readonly platform?: string
  readonly format: 'text' | 'json'
}

/** Longer lists of files are cut in the text; `--format json` has all of them. */
const shownFiles = 100

/** `tsbuild compare A B`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = compareCommand()
  parseArguments(command, argv)
  const { platform, format, ...flags } = command.opts<CompareFlags>()
  const [before = '', after = ''] = command.args
  const comparison = await withBuilder(flags, host, (builder, signal) =>
    builder.compareImages({ before, after, signal, ...(platform === undefined ? {} : { platform }) }),
  )
  const text =
    format === 'json' ? `${JSON.stringify(comparison, undefined, 2)}\n` : comparisonText(comparison)
  host.stdout.write(text)
  return comparison.same ? exitCodes.success : exitCodes.different
}

/** The text of `tsbuild compare --help`. */
export function help(): string {
  return helpText(compareCommand())
}

function compareCommand(): Command {
  const command = new Command('tsbuild compare')
    .usage('[flags] A B')
    .description(
      'Says what differs between two images: members of the config, and files of the layers with what of them. Exit code 1 where something does.',
    )
    .argument('<A>', 'a local image, one of a registry, or `oci-layout://DIR[:TAG]`')
    .argument('<B>', 'the other one')
    .option('--platform <platform>', 'Which image of several platforms (default: that of this machine)')
    .addOption(
      new Option('--format <format>', 'text or json')
        .default('text')
        .argParser(oneOf('--format', ['text', 'json'])),
    )
  return addGlobalFlags(command)
}

/** The comparison for people. */
export function comparisonText({ same, manifest, config, layers }: ImageComparison): string {
  if (same) return 'The images are the same: their manifests have one digest.\n'
  const blocks = [
    ...(manifest.length === 0 ? [] : [['manifest', ...manifest.map(fieldLine)]]),
    ...(config.length === 0 ? [] : [['config', ...config.map(fieldLine)]]),
    ...layers.map(layerLines),
  ]
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

function layerLines({ index, createdBy, before, after, files }: LayerComparison): readonly string[] {
  const title = `layer ${index}${createdBy === undefined ? '' : `  ${oneLine(createdBy)}`}`
  if (before === undefined) return [title, '  only in the second image']
  if (after === undefined) return [title, '  only in the first image']
  const shown = (files ?? []).slice(0, shownFiles).flatMap(fileLines)
  const hidden = (files?.length ?? 0) - shownFiles
  const rest = hidden > 0 ? [`  and ${hidden} more; --format json has all`] : []
  if (shown.length > 0) return [title, ...shown, ...rest]
  return [title, '  the files are the same, their tar is not: another tool wrote it, or with other headers']
}

function fileLines({ path, kind, fields }: FileDifference): readonly string[] {
  return [`  ${kind.padEnd(7)} ${oneLine(path)}`, ...fields.map((field) => `  ${fieldLine(field)}`)]
}

function fieldLine({ name, before, after }: FieldDifference): string {
  return `  ${oneLine(name)}: ${valueText(before)} → ${valueText(after)}`
}

function valueText(value: string | undefined): string {
  if (value === undefined) return '(none)'
  const short = value.replace(/^sha256:([0-9a-f]{12})[0-9a-f]{52}$/, 'sha256:$1')
  return oneLine(short.length > 120 ? `${short.slice(0, 120)}…` : short)
}

/** Names of files may hold line feeds. */
function oneLine(text: string): string {
  return visible(text).replaceAll('\n', '\\n')
}
