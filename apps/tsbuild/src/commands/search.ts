import { collect, formatTable, keyValues, oneOf, visible } from '@tsbuild/command-line'
import { isBuildError, UserError } from '@tsbuild/errors'
import type { FoundRepository, RegistryClient, RegistryHosts } from '@tsbuild/registry'
import { Command, Option } from 'commander'
import { helpText, parseArguments } from '../argv/command-line.ts'
import { addRegistryFlags, type RegistryFlags } from '../argv/global-flags.ts'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { readConfigFile } from '../settings/config-file.ts'
import { registryHosts } from '../settings/registry-hosts.ts'
import { withRegistry } from '../with-registry.ts'

interface SearchFlags extends RegistryFlags {
  readonly limit?: number
  readonly filter?: readonly string[]
  readonly listTags?: true
  readonly trunc: boolean
  readonly format: 'table' | 'json'
}

/** A repository, and the registry that has it. */
interface Found extends FoundRepository {
  readonly registry: string
}

/** `tsbuild search TERM`. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = searchCommand()
  parseArguments(command, argv)
  const flags = command.opts<SearchFlags>()
  const [term = ''] = command.args
  const text = await withRegistry(flags, host, async (client, signal) =>
    flags.listTags === true
      ? await listTags(client, term, flags, signal)
      : await search({ client, host, flags, signal }, term),
  )
  host.stdout.write(text)
  return exitCodes.success
}

/** The text of `tsbuild search --help`. */
export function help(): string {
  return helpText(searchCommand())
}

function searchCommand(): Command {
  const command = new Command('tsbuild search')
    .usage('[flags] TERM')
    .description(
      'Finds repositories whose name has TERM in it. `registry.example/TERM` searches the catalogue of that registry; a bare TERM those that registries.conf names for searches, else the Docker Hub.',
    )
    .argument('<TERM>', 'for example `debian` or `registry.example:5000/web`')
    .addOption(
      new Option('--limit <number>', 'At most so many from each registry (default: 25)').argParser(
        parseLimit,
      ),
    )
    .addOption(
      new Option('--filter <filter>', '`stars=N` or `is-official=true`; repeatable').argParser(collect),
    )
    .option('--list-tags', 'List the tags of the repository TERM')
    .option('--no-trunc', 'Show descriptions whole')
    .addOption(
      new Option('--format <format>', 'table or json')
        .default('table')
        .argParser(oneOf('--format', ['table', 'json'])),
    )
  return addRegistryFlags(command)
}

function parseLimit(text: string): number {
  const limit = Number(text)
  if (/^\d+$/.test(text) && limit > 0 && limit <= 10_000) return limit
  throw new UserError('ERR_USAGE', `Cannot use value "${text}" of --limit: expected 1 to 10000`)
}

async function listTags(
  client: RegistryClient,
  term: string,
  flags: SearchFlags,
  signal: AbortSignal,
): Promise<string> {
  const { familiarName, parseReference } = await import('@tsbuild/oci')
  const { registry, repository } = parseReference(term)
  const tags = await client.listTags({ registry, repository }, { signal })
  const shown = flags.limit === undefined ? tags : tags.slice(0, flags.limit)
  const name = familiarName({ registry, repository })
  if (flags.format === 'json') return `${JSON.stringify({ name, tags: shown }, undefined, 2)}\n`
  return formatTable([['NAME', 'TAG'], ...shown.map((tag) => [name, tag])])
}

interface Search {
  readonly client: RegistryClient
  readonly host: Host
  readonly flags: SearchFlags
  readonly signal: AbortSignal
}

async function search(parts: Search, term: string): Promise<string> {
  const { client, host, flags, signal } = parts
  const wanted = readFilters(flags.filter ?? [])
  const { registries, name } = await placesOf(term, registryHosts(host, await readConfigFile(host.env)))
  const outcomes = await Promise.allSettled(
    registries.map(async (registry): Promise<readonly Found[]> => {
      const found = await client.search(registry, name, { limit: flags.limit, signal })
      return found.map((one) => ({ registry, ...one }))
    }),
  )
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  if (failures.length === outcomes.length) throw failures[0]
  for (const failure of failures) {
    if (!isBuildError(failure)) throw failure
    host.stderr.write(`Warning: ${visible(failure.message)}\n`)
  }
  const found = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []))
  const kept = found.filter(wanted)
  return flags.format === 'json' ? `${JSON.stringify(kept, undefined, 2)}\n` : foundTable(kept, flags.trunc)
}

/** A first part with a dot or a port, or `localhost`, is a registry, as in the names of images. */
async function placesOf(
  term: string,
  hosts: () => Promise<RegistryHosts>,
): Promise<{ readonly registries: readonly string[]; readonly name: string }> {
  const slash = term.indexOf('/')
  const first = slash < 0 ? '' : term.slice(0, slash)
  if (/[.:]/.test(first) || first === 'localhost') {
    return { registries: [first === 'index.docker.io' ? 'docker.io' : first], name: term.slice(slash + 1) }
  }
  const { searchIn } = await hosts()
  return { registries: searchIn.length > 0 ? searchIn : ['docker.io'], name: term }
}

/** @throws {UserError} `ERR_USAGE` */
function readFilters(filters: readonly string[]): (found: Found) => boolean {
  const { stars, ...rest } = keyValues('--filter', filters, () => '')
  const { 'is-official': official, ...unknown } = rest
  const [name] = Object.keys(unknown)
  const wrong = (state: string) => new UserError('ERR_USAGE', `Cannot use --filter: ${state}`)
  if (name !== undefined) throw wrong(`"${name}" is not known, expected stars or is-official`)
  if (stars !== undefined && !/^\d+$/.test(stars)) throw wrong(`stars is "${stars}", expected a number`)
  if (official !== undefined && official !== 'true' && official !== 'false') {
    throw wrong(`is-official is "${official}", expected true or false`)
  }
  return (found) =>
    (stars === undefined || (found.stars ?? 0) >= Number(stars)) &&
    (official === undefined || (found.official ?? false) === (official === 'true'))
}

function foundTable(found: readonly Found[], truncate: boolean): string {
  const rows = found.map(({ registry, name, description = '', stars, official }) => [
    visible(registry === 'docker.io' ? name : `${registry}/${name}`),
    brief(visible(description.replaceAll(/\s+/g, ' ')), truncate),
    String(stars ?? ''),
    official === true ? '[OK]' : '',
  ])
  return formatTable([['NAME', 'DESCRIPTION', 'STARS', 'OFFICIAL'], ...rows])
}

function brief(description: string, truncate: boolean): string {
  return truncate && description.length > 45 ? `${description.slice(0, 44)}…` : description
}
