import { exitCodes, formatSize, helpText, parseArguments } from '@tsbuild/command-line'
import { EnvironmentError } from '@tsbuild/errors'
import { Command } from 'commander'
import type { Host } from '../host.ts'
import { addSettingFlags, settingsOf, storeKeys } from '../settings/setting-flags.ts'
import { untilItsTurn } from '../until-its-turn.ts'
import { withService } from '../with-service.ts'

/** `cache-server gc`: one round of the collector, as the server makes them itself. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = gcCommand()
  parseArguments(command, argv)
  const settings = await settingsOf(command, host)
  const { report, failed } = await withService(settings, host, async ({ upkeep }) => {
    await untilItsTurn(async () => {
      await upkeep.run()
      return upkeep.last !== undefined || upkeep.runs.failed > 0
    })
    return { report: upkeep.last, failed: upkeep.runs.failed > 0 }
  })
  if (report === undefined) {
    const [why, hint] = failed
      ? ['it failed', 'What failed stands above.']
      : ['another process is at it', 'Try again when the server has done it.']
    throw new EnvironmentError('ERR_STORE_IO', `Cannot collect garbage: ${why}`, { hints: [hint] })
  }
  const { evicted, expired, swept, sweptBytes, bytes, leftBytes = bytes } = report
  host.stdout.write(
    `${evicted + expired} records and manifests went, and ${swept} objects with ${formatSize(sweptBytes)}; ${formatSize(leftBytes)} are kept\n`,
  )
  return exitCodes.success
}

/** The text of `cache-server gc --help`. */
export function help(): string {
  return helpText(gcCommand())
}

function gcCommand(): Command {
  const command = new Command('cache-server gc')
    .usage('--dir DIR [flags]')
    .description(
      'Removes what nothing refers to and, above `gc.maxSize`, what was used longest ago. The server does so itself; this does it now, beside it if it runs. What was handed out within `gc.grace` stays.',
    )
  return addSettingFlags(command, [
    ...storeKeys,
    'gc.maxSize',
    'gc.grace',
    'gc.recordAge',
    'gc.pullRequestAge',
  ])
}
