import { exitCodes, helpText, parseArguments } from '@tsbuild/command-line'
import { Command } from 'commander'
import type { Host } from '../host.ts'
import { openLog } from '../log/log.ts'
import { openService } from '../serve/open-service.ts'
import { runServer } from '../serve/run-server.ts'
import { checkSettings } from '../settings/check-settings.ts'
import { addSettingFlags, settingsOf } from '../settings/setting-flags.ts'

/** `cache-server [serve]`: runs until a signal ends it. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = serveCommand()
  parseArguments(command, argv)
  const settings = await settingsOf(command, host)
  const warnings = await checkSettings(settings)
  const log = openLog({ level: settings['log.level'], format: settings['log.format'] }, host)
  try {
    for (const warning of [...settings.warnings, ...warnings]) log.warn({}, warning)
    await runServer({ settings, host, log, openService: () => openService({ settings, host, log }) })
  } finally {
    log.flush()
  }
  return exitCodes.success
}

/** The text of `cache-server serve --help`. */
export function help(): string {
  return helpText(serveCommand())
}

function serveCommand(): Command {
  const command = new Command('cache-server')
    .usage('[serve] --dir DIR [flags]')
    .description(
      'Runs the server. Without further settings it listens on 127.0.0.1:7070, and everybody on this machine may do everything.',
    )
  return addSettingFlags(command)
}
