import type { Builder, BuildRecord } from '@tsbuild/builder'
import { collect, formatAge, formatTable, oneOf, visible } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addGlobalFlags, type GlobalFlags } from '../argv/global-flags.ts'
import type { CommandModule } from '../commands.ts'
import { exitCodes } from '../exit-code.ts'
import { withBuilder } from '../with-builder.ts'
import { buildMs, countSteps, formatDuration } from './numbers.ts'

interface ListFlags extends GlobalFlags {
  readonly format: 'table' | 'json'
  readonly filter?: readonly string[]
  readonly trunc: boolean
  readonly quiet?: true
}

/** `tsbuild history ls`. */
export const list: CommandModule = {
  async run(argv, host) {
    const command = listCommand()
    parseArguments(command, argv)
    const flags = command.opts<ListFlags>()
    const isWanted = parseFilters(flags.filter ?? [])
    const { builds, unreadable } = await withBuilder(flags, host, (builder: Builder) => builder.builds())
    const shown = builds.filter(isWanted)
    host.stdout.write(textOf(shown, flags, host.now()))
    host.stderr.write(unreadableNote(unreadable))
    return exitCodes.success
  },
  help: () => helpText(listCommand()),
}

function listCommand(): Command {
  const command = new Command('tsbuild history ls')
    .usage('[flags]')
    .description('Lists the builds of the history, the newest first.')
    .addOption(
      new Option('--format <format>', 'table or json')
        .default('table')
        .argParser(oneOf('--format', ['table', 'json'])),
    )
    .addOption(
      new Option(
        '--filter <filter>',
        '`status=` completed, failed, cancelled, died or running; `name=` a part of it; `error=` a code. Repeatable; those of one kind add up',
      ).argParser(collect),
    )
    .option('--no-trunc', 'Show whole refs and names')
    .option('-q, --quiet', 'Print the refs only')
  return addGlobalFlags(command)
}

const statuses = ['completed', 'failed', 'cancelled', 'died', 'running']

/** Filters of one kind are alternatives, those of different kinds must all match. */
function parseFilters(filters: readonly string[]): (build: BuildRecord) => boolean {
  const wanted = new Map<string, string[]>()
  for (const filter of filters) {
    const [, kind = '', value = ''] = /^(status|name|error)=(.+)$/s.exec(filter) ?? []
    if (kind === '' || (kind === 'status' && !statuses.includes(value)))
      throw new UserError('ERR_USAGE', `Cannot use value "${filter}" of --filter: there is no such filter`, {
        hints: [`\`status=\` takes ${statuses.join(', ')}; \`name=\` a part of a name; \`error=\` a code.`],
      })
    wanted.set(kind, [...(wanted.get(kind) ?? []), value])
  }
  const matches = (kind: string, test: (value: string) => boolean) => wanted.get(kind)?.some(test) ?? true
  return ({ outcome, name, error }) =>
    matches('status', (value) => outcome === value) &&
    matches('name', (value) => name.includes(value)) &&
    matches('error', (value) => error?.code === value)
}

function textOf(builds: readonly BuildRecord[], flags: ListFlags, now: number): string {
  if (flags.format === 'json') return `${JSON.stringify(builds.map(summaryOf), undefined, 2)}\n`
  if (flags.quiet === true) return builds.map(({ ref }) => `${ref}\n`).join('')
  return table(builds, flags, now)
}

/** What `--format json` lists; `tsbuild history show` has the rest. */
function summaryOf(build: BuildRecord) {
  const { ref, name, request, outcome, startedAt, endedAt, error, image } = build
  return {
    ref,
    name,
    outcome,
    startedAt,
    endedAt,
    steps: countSteps(build),
    warnings: build.warnings.length,
    error: error === null ? null : { code: error.code, message: error.message },
    image,
    context: request.context,
    tags: request.tags,
  }
}

function table(builds: readonly BuildRecord[], { trunc }: ListFlags, now: number): string {
  const rows = builds.map((build) => {
    const { ran, cached } = countSteps(build)
    return [
      trunc ? build.ref.slice(0, 12) : build.ref,
      trunc ? shortened(visible(build.name), 40) : visible(build.name),
      build.outcome,
      formatAge(new Date(build.startedAt).toISOString(), now),
      formatDuration(buildMs(build, now)),
      `${ran}`,
      `${cached}`,
      visible(build.error?.code ?? '-'),
    ]
  })
  return formatTable([['BUILD', 'NAME', 'STATUS', 'STARTED', 'DURATION', 'RAN', 'CACHED', 'ERROR'], ...rows])
}

/** The end of a name tells more than its beginning. */
function shortened(name: string, most: number): string {
  const line = name.replace(/\s+/g, ' ')
  return line.length > most ? `…${line.slice(1 - most)}` : line
}

function unreadableNote(refs: readonly string[]): string {
  if (refs.length === 0) return ''
  const [which, them] =
    refs.length === 1 ? ['A build cannot', 'it'] : [`${refs.length} builds cannot`, 'them']
  return `Note: ${which} be read, left out here; \`tsbuild history rm\` takes ${them} away: ${refs.join(', ')}\n`
}
