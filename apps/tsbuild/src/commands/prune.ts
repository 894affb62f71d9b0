import { createInterface } from 'node:readline'
import type { PrunedItem, PruneResult, SpaceLimit } from '@tsbuild/builder'
import { collect, formatSize, oneOf, shortId, visible } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { spaceLimit } from '../argv/space-limit.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

interface PruneFlags extends GlobalFlags {
  readonly all?: true
  readonly force?: true
  readonly dryRun?: true
  readonly verbose?: true
  readonly format: 'text' | 'json'
  readonly filter?: readonly string[]
  readonly olderThan?: string
  readonly keepDuration?: string
  readonly keepStorage?: SpaceLimit
  readonly reservedSpace?: SpaceLimit
  readonly maxUsedSpace?: SpaceLimit
  readonly minFreeSpace?: SpaceLimit
}

/** `tsbuild prune`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = pruneCommand()
  parseArguments(command, argv)
  const flags = command.opts<PruneFlags>()
  if (!(await mayPrune(flags, host))) return exitCodes.success
  const isText = flags.format === 'text'
  const onRemoved = (item: PrunedItem) => {
    if (isText && isShown(item, flags)) host.stdout.write(removedLine(item, flags))
  }
  const result = await withBuilder(flags, host, (builder, signal) =>
    builder.prune({ ...choiceOf(flags), dryRun: flags.dryRun === true, onRemoved, signal }),
  )
  host.stdout.write(isText ? closing(result, flags) : `${JSON.stringify(result, undefined, 2)}\n`)
  return exitCodes.success
}

/** The text of `tsbuild prune --help`. */
export function help(): string {
  return helpText(pruneCommand())
}

function pruneCommand(): Command {
  const limit = (flags: string, name: string, description: string) =>
    new Option(flags, description).argParser(spaceLimit(name))
  const command = new Command('tsbuild prune')
    .usage('[flags]')
    .description(
      'Removes cache that no named image was built from. Named images and what a build uses always stay.',
    )
    .option(
      '-a, --all',
      'Also the steps of named images, kept failures, fingerprints: everything but images and history',
    )
    .addOption(
      new Option(
        '--filter <filter>',
        'Only what matches, for example `type=regular` or `until=24h`; repeatable',
      ).argParser(collect),
    )
    .option('--older-than <time>', 'Keep what was used within this time, for example `48h` or `7d`')
    .addOption(new Option('--keep-duration <time>').hideHelp())
    .addOption(
      limit('--keep-storage <size>', '--keep-storage', 'Stop when only this much is left (`10g`, `10%`)'),
    )
    .addOption(limit('--reserved-space <size>', '--reserved-space', '').hideHelp())
    .addOption(
      limit('--max-used-space <size>', '--max-used-space', 'Stop when no more than this much is left'),
    )
    .addOption(
      limit('--min-free-space <size>', '--min-free-space', 'Stop when this much of the disk is free'),
    )
    .option('--dry-run', 'Remove nothing; say what would go, and why')
    .option('-v, --verbose', 'Say also what stays, and why')
    .option('-f, --force', 'Do not ask')
    .addOption(
      new Option('--format <format>', 'text or json')
        .default('text')
        .argParser(oneOf('--format', ['text', 'json'])),
    )
  return addGlobalFlags(command)
}

function choiceOf(flags: PruneFlags) {
  return {
    all: flags.all === true,
    filters: flags.filter,
    olderThan: flags.olderThan ?? flags.keepDuration,
    keep: flags.keepStorage ?? flags.reservedSpace,
    maxUsed: flags.maxUsedSpace,
    minFree: flags.minFreeSpace,
  }
}

/** Asks, as docker does. @throws {UserError} `ERR_USAGE` where there is nobody to ask */
async function mayPrune({ force, dryRun, all }: PruneFlags, host: Host): Promise<boolean> {
  if (force === true || dryRun === true) return true
  if (host.stdin.isTTY !== true) {
    throw new UserError('ERR_USAGE', 'Cannot ask whether to prune: standard input is no terminal', {
      hints: ['Say `--force` to prune without being asked, or `--dry-run` to see what would go.'],
    })
  }
  const what = all === true ? ', also that of named images' : ' that no named image was built from'
  host.stderr.write(`This removes all build cache${what}. Continue? [y/N] `)
  const lines = createInterface({ input: host.stdin, terminal: false })
  for await (const line of lines) return /^y(es)?$/i.test(line.trim())
  return false
}

/** Layers and lists go with what names them. */
function isShown({ reason }: PrunedItem, { verbose }: PruneFlags): boolean {
  return verbose === true || reason.code !== 'part-of-removed'
}

function removedLine({ id, description, freedBytes, reason }: PrunedItem, { dryRun }: PruneFlags): string {
  const what = dryRun === true ? 'would remove' : 'removed'
  return `${what} ${visible(shortId(id))} ${formatSize(freedBytes)} ${visible(description)} (${visible(reason.text)})\n`
}

function closing({ kept, freedBytes, totalBytes }: PruneResult, { verbose, dryRun }: PruneFlags): string {
  const lines =
    verbose === true
      ? kept.map(({ id, sizeBytes, description, reason }) => {
          return `${dryRun === true ? 'would keep' : 'kept'} ${visible(shortId(id))} ${formatSize(sizeBytes)} ${visible(description)} (${visible(reason.text)})\n`
        })
      : []
  const freed = dryRun === true ? 'Would free' : 'Freed'
  return `${lines.join('')}${freed}: ${formatSize(freedBytes)}\nLeft: ${formatSize(totalBytes)}\n`
}
