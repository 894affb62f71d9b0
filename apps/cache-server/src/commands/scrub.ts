import { randomUUID } from 'node:crypto'
import { Scrubber } from '@tsbuild/cache-service'
import { exitCodes, formatSize, helpText, parseArguments, visible } from '@tsbuild/command-line'
import { EnvironmentError } from '@tsbuild/errors'
import { Command } from 'commander'
import type { Host } from '../host.ts'
import { contents } from '../serve/upkeep.ts'
import { addSettingFlags, settingsOf, storeKeys } from '../settings/setting-flags.ts'
import { untilItsTurn } from '../until-its-turn.ts'
import { withStore } from '../with-store.ts'

/** `cache-server scrub`: reads everything again, however much it is. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = scrubCommand()
  parseArguments(command, argv)
  const settings = await settingsOf(command, host)
  const ending = new AbortController()
  const stop = host.onSignal(() => ending.abort())
  const counts = await withStore(settings, host, async (store) => {
    const scrubber = new Scrubber({
      store,
      targets: [contents],
      now: host.now,
      id: randomUUID(),
      onDamage: ({ key, quarantined = 'not kept' }) =>
        host.stdout.write(visible(`damaged: ${key} (${quarantined})\n`)),
    })
    // The first run goes on where the server's scrubbing stands, to the end; the second begins at the beginning.
    for (let rounds = 1; rounds <= 2; rounds += 1) {
      await untilItsTurn(async () => {
        await scrubber.run(Number.POSITIVE_INFINITY, ending.signal)
        return scrubber.counts.rounds >= rounds
      })
    }
    return scrubber.counts
  }).finally(stop)
  if (counts.rounds < 2)
    throw new EnvironmentError('ERR_STORE_IO', 'Cannot read everything again: another process is at it')
  host.stdout.write(
    `${counts.objects} objects with ${formatSize(counts.bytes)} were read, ${counts.damaged} were damaged\n`,
  )
  return counts.damaged === 0 ? exitCodes.success : exitCodes.user
}

/** The text of `cache-server scrub --help`. */
export function help(): string {
  return helpText(scrubCommand())
}

function scrubCommand(): Command {
  const command = new Command('cache-server scrub')
    .usage('--dir DIR [flags]')
    .description(
      'Reads everything again and compares it with its digests; what is damaged is taken away, so that it is sent anew. Exit code 1 where something was. The server does so itself, `scrub.perDay` at a time.',
    )
  return addSettingFlags(command, storeKeys)
}
