import type { DiskUsageReport, SpaceItem } from '@tsbuild/builder'
import { collect, formatAge, formatSize, formatTable, oneOf, shortId, visible } from '@tsbuild/command-line'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { withBuilder } from '../with-builder.ts'

interface DuFlags extends GlobalFlags {
  readonly format: 'table' | 'json'
  readonly filter?: readonly string[]
  readonly verbose?: true
}

/** `tsbuild du`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = duCommand()
  parseArguments(command, argv)
  const flags = command.opts<DuFlags>()
  const { filter: filters } = flags
  const report = await withBuilder(flags, host, (builder) => builder.diskUsage({ filters }))
  if (flags.format === 'json') host.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
  else {
    const items = flags.verbose === true ? verboseItems(report, host.now()) : itemTable(report, host.now())
    host.stdout.write(`${items}\n${kindTable(report)}\n${totals(report)}`)
  }
  return exitCodes.success
}

/** The text of `tsbuild du --help`. */
export function help(): string {
  return helpText(duCommand())
}

function duCommand(): Command {
  const command = new Command('tsbuild du')
    .usage('[flags]')
    .description('Says what images and the cache take on the disk.')
    .addOption(
      new Option('--format <format>', 'table or json')
        .default('table')
        .argParser(oneOf('--format', ['table', 'json'])),
    )
    .addOption(
      new Option('--filter <filter>', 'Only what matches, for example `type=regular`; repeatable').argParser(
        collect,
      ),
    )
    .option('-v, --verbose', 'Say all that is known of each item')
  return addGlobalFlags(command)
}

const age = (ms: number, now: number) => formatAge(new Date(ms).toISOString(), now)

function itemTable({ items }: DiskUsageReport, now: number): string {
  const rows = items.map((item) => [
    visible(shortId(item.id)),
    item.kind,
    item.reclaimable ? 'true' : 'false',
    formatSize(item.sizeBytes),
    age(item.usedAt, now),
    brief(visible(item.description)),
  ])
  return formatTable([['ID', 'TYPE', 'RECLAIMABLE', 'SIZE', 'LAST USED', 'DESCRIPTION'], ...rows])
}

/** A RUN may be a program of many lines; `--verbose` and JSON have all of it. */
function brief(description: string): string {
  return description.length <= 72 ? description : `${description.slice(0, 71)}…`
}

function verboseItems({ items }: DiskUsageReport, now: number): string {
  return items.map((item) => `${verboseItem(item, now)}\n`).join('')
}

function verboseItem(item: SpaceItem, now: number): string {
  const lines: readonly (readonly [string, string])[] = [
    ['ID', item.id],
    ['Type', item.kind],
    ['Description', item.description],
    ['Size', formatSize(item.sizeBytes)],
    ['Shared', formatSize(item.sharedBytes)],
    ['Created', age(item.createdAt, now)],
    ['Last used', age(item.usedAt, now)],
    ['To make again', `${(item.rebuildMs / 1000).toFixed(1)} s`],
    ['In use', String(item.inUse)],
    ['Reclaimable', String(item.reclaimable)],
    ['Why', item.reason.text],
  ]
  return formatTable(lines.map(([name, value]) => [`${name}:`, visible(value)]))
}

function kindTable({ kinds }: DiskUsageReport): string {
  const rows = kinds.map(({ kind, count, bytes, sharedBytes, reclaimableBytes }) => {
    return [kind, String(count), formatSize(bytes), formatSize(sharedBytes), formatSize(reclaimableBytes)]
  })
  return formatTable([['TYPE', 'COUNT', 'SIZE', 'SHARED', 'RECLAIMABLE'], ...rows])
}

function totals({ totalBytes, sharedBytes, reclaimableBytes, disk }: DiskUsageReport): string {
  return formatTable([
    ['Shared:', formatSize(sharedBytes)],
    ['Reclaimable:', formatSize(reclaimableBytes)],
    ['Total:', formatSize(totalBytes)],
    ['Free on the disk:', `${formatSize(disk.freeBytes)} of ${formatSize(disk.totalBytes)}`],
  ])
}
