import { exitCodes, formatTable, helpText, parseArguments, visible } from '@tsbuild/command-line'
import { Command } from 'commander'
import type { Host } from '../host.ts'
import { checkSettings } from '../settings/check-settings.ts'
import { addSettingFlags, settingsOf } from '../settings/setting-flags.ts'
import { rowOf, settingKeys } from '../settings/table.ts'

/** `cache-server config check`: what would count, and where it is from. Opens nothing. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = checkCommand()
  parseArguments(command, argv)
  const settings = await settingsOf(command, host)
  const warnings = [...settings.warnings, ...(await checkSettings(settings))]
  const rows = settingKeys.map((key) => {
    const origin = settings.origins.get(key)
    const value = origin === undefined || origin.written === '' ? '-' : origin.written
    return [key, rowOf(key).isSecret === true && value !== '-' ? '***' : value, origin?.source ?? '']
  })
  host.stdout.write(visible(formatTable([['KEY', 'VALUE', 'FROM'], ...rows])))
  for (const warning of warnings) host.stderr.write(visible(`Warning: ${warning}\n`))
  return exitCodes.success
}

/** The text of `cache-server config check --help`. */
export function help(): string {
  return helpText(checkCommand())
}

function checkCommand(): Command {
  const command = new Command('cache-server config check')
    .usage('[flags]')
    .description('Checks the settings as `serve` would, and prints each with its source. Nothing is opened.')
  return addSettingFlags(command)
}
