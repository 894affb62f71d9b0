import {
  exitCodes,
  formatSize,
  formatTable,
  helpText,
  oneOf,
  parseArguments,
  visible,
} from '@tsbuild/command-line'
import type { ObjectStore } from '@tsbuild/object-store'
import { Command, Option } from 'commander'
import type { Host } from '../host.ts'
import { addSettingFlags, settingsOf, storeKeys } from '../settings/setting-flags.ts'
import { withService } from '../with-service.ts'

interface Amount {
  objects: number
  bytes: number
}

/** `cache-server stats`: what is kept, by kind, and the records of each scope. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = statsCommand()
  parseArguments(command, argv)
  const { format } = command.opts<{ readonly format: 'text' | 'json' }>()
  const settings = await settingsOf(command, host)
  const { kinds, scopes } = await withService(settings, host, async ({ store, records }) => ({
    kinds: await countKinds(store),
    scopes: records.scopes(),
  }))
  if (format === 'json') {
    const value = { v: 1, kinds: Object.fromEntries(kinds), scopes: Object.fromEntries(scopes) }
    host.stdout.write(`${JSON.stringify(value)}\n`)
    return exitCodes.success
  }
  const rows = [...kinds].map(([kind, { objects, bytes }]) => [kind, String(objects), formatSize(bytes)])
  host.stdout.write(formatTable([['KIND', 'OBJECTS', 'SIZE'], ...rows]))
  const lines = [...scopes].map(([scope, count]) => [scope, String(count)])
  if (lines.length > 0) host.stdout.write(visible(`\n${formatTable([['SCOPE', 'RECORDS'], ...lines])}`))
  return exitCodes.success
}

/** The text of `cache-server stats --help`. */
export function help(): string {
  return helpText(statsCommand())
}

/** By the first two components of keys, which say what an object is: `oci1/content`. */
async function countKinds(store: Pick<ObjectStore, 'list'>): Promise<ReadonlyMap<string, Amount>> {
  const kinds = new Map<string, Amount>()
  for await (const { key, size } of store.list('')) {
    const kind = key.split('/').slice(0, 2).join('/')
    const amount = kinds.get(kind) ?? { objects: 0, bytes: 0 }
    amount.objects += 1
    amount.bytes += size
    kinds.set(kind, amount)
  }
  return kinds
}

function statsCommand(): Command {
  const command = new Command('cache-server stats')
    .usage('--dir DIR [flags]')
    .description('Counts what is kept. What a running server did is in `/metrics` and `/v1/stats`.')
    .addOption(
      new Option('--format <format>', 'text or json')
        .default('text')
        .argParser(oneOf('--format', ['text', 'json'])),
    )
  return addSettingFlags(command, storeKeys)
}
