import type { ContextFile, ExplainedMiss, ExplainedTransfer, ExplainReport } from '@tsbuild/builder'
import { formatAge, formatSize, formatTable, oneOf, visible } from '@tsbuild/command-line'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import { formatDuration } from '../history/numbers.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

interface ExplainFlags extends GlobalFlags {
  readonly context?: true
  readonly format: 'text' | 'json'
}

/** `tsbuild explain [REF] [STEP]`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = explainCommand()
  parseArguments(command, argv)
  const { context, ...flags } = command.opts<ExplainFlags>()
  const [ref, step] = command.args
  const report = await withBuilder(flags, host, (builder) => builder.explain({ ref, step, context }))
  const text =
    flags.format === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : reportText(report, host)
  host.stdout.write(text)
  return exitCodes.success
}

/** The text of `tsbuild explain --help`. */
export function help(): string {
  return helpText(explainCommand())
}

function explainCommand(): Command {
  const command = new Command('tsbuild explain')
    .usage('[flags] [REF] [STEP]')
    .description(
      'Says why the steps of a build ran: each is compared with the nearest earlier record of it. Also where cached steps came from and what they saved, and what a push sent.',
    )
    .argument(
      '[REF]',
      'the build, of `tsbuild history ls`; `^1` is the one before the newest (default: the newest)',
    )
    .argument('[STEP]', 'only this step: its number, a part of its name, or a beginning of its digest')
    .option('--context', 'Name the largest files that were read of build contexts')
    .addOption(
      new Option('--format <format>', 'text or json')
        .default('text')
        .argParser(oneOf('--format', ['text', 'json'])),
    )
  return addGlobalFlags(command)
}

function reportText(report: ExplainReport, host: Host): string {
  const { build, misses, hits, exports, context } = report
  const age = formatAge(new Date(build.startedAt).toISOString(), host.now())
  const blocks = [
    `Build ${build.ref} of ${visible(build.name)}, ${age}, ${build.outcome}\n`,
    ...misses.map((miss) => missText(miss, host)),
    ...(misses.length === 0 ? ['Nothing had to run.\n'] : []),
    ...(hits.length === 0 ? [] : [hitsText(report)]),
    ...(exports.length === 0 ? [] : [exportsText(exports)]),
    ...(context === undefined ? [] : [contextText(context)]),
  ]
  return blocks.join('\n')
}

function missText({ number, name, reason, earlier, cause, text }: ExplainedMiss, { now }: Host): string {
  const age = earlier === null ? '' : formatAge(new Date(earlier.createdAt).toISOString(), now())
  const compared =
    earlier === null ? [] : [`compared with the record of ${age}${namedAs(earlier.name, name)}`]
  const from = cause === null ? [] : [`comes from ${cause.name}: ${cause.reason.text}`]
  const lines = [`MISS: ${reason.text}`, ...from, ...compared, ...text.map((line) => `  ${line}`)]
  return `#${number} ${visible(name)}\n${lines.map((line) => `   ${visible(line)}\n`).join('')}`
}

/** What it is compared with may have had another name. */
function namedAs(earlier: string, now: string): string {
  return earlier === now ? '' : `, ${earlier}`
}

function hitsText({ hits }: ExplainReport): string {
  const savedMs = hits.reduce((sum, hit) => sum + (hit.savedMs ?? 0), 0)
  const rows = hits.map(({ number, name, from, savedMs: saved }) => [
    `#${number}`,
    from,
    saved === null ? '-' : formatDuration(saved),
    oneLine(name),
  ])
  return `Cached, which saved ${formatDuration(savedMs)}:\n${formatTable([['STEP', 'FROM', 'SAVED', 'NAME'], ...rows])}`
}

const outcomeWords = { sent: 'sent', exists: 'already there', mounted: 'mounted from there' } as const

function exportsText(transfers: readonly ExplainedTransfer[]): string {
  const rows = transfers.map(({ blob, bytes, outcome }) => [
    outcomeWords[outcome],
    bytes === null ? '-' : formatSize(bytes),
    visible(blob),
  ])
  return `Pushed:\n${formatTable([['WHAT', 'SIZE', 'BLOB'], ...rows])}`
}

function contextText(files: readonly ContextFile[]): string {
  if (files.length === 0) return 'No lists of the files that were read are kept.\n'
  const rows = files.map(({ path, bytes, step }) => [formatSize(bytes), visible(path), oneLine(step)])
  return `Largest files that were read:\n${formatTable([['SIZE', 'FILE', 'READ BY'], ...rows])}`
}

/** A heredoc has many. */
function oneLine(name: string): string {
  const line = visible(name.replace(/\s+/g, ' '))
  return line.length > 60 ? `${line.slice(0, 59)}…` : line
}
