import { collect } from '@tsbuild/command-line'
import { type Command, Option } from 'commander'
import type { Host } from '../host.ts'
import { type FlagValues, readSettings, type Settings } from './read-settings.ts'
import { flagOf, rowOf, type SettingKey, settingKeys } from './table.ts'

/** What says where the objects are: the settings of every command that opens them. */
export const storeKeys: readonly SettingKey[] = [
  'dir',
  'engine',
  'oci.repository',
  'oci.plainHttp',
  'oci.username',
  'log.level',
  'log.format',
]

/** Adds a flag for each setting, and `--config`. What the environment and the file say counts for every command, flag or not. */
export function addSettingFlags(command: Command, keys: readonly SettingKey[] = settingKeys): Command {
  command.addOption(
    new Option('--config <file>', 'The configuration: TOML, or JSON in a file `*.json`').helpGroup(
      'Settings:',
    ),
  )
  for (const key of keys) {
    const flag = flagOf(key)
    if (flag === undefined) continue
    const { form, summary, fallback } = rowOf(key)
    const option = new Option(`${flag} ${form.placeholder}`.trim(), described(summary, fallback))
    if (form.isList) option.argParser(collect)
    command.addOption(option.helpGroup('Settings:'))
    // What is on can be turned off.
    if (form.placeholder === '' && fallback === 'true')
      command.addOption(new Option(`--no-${flag.slice(2)}`).hideHelp())
  }
  return command
}

const described = (summary: string, fallback: string | undefined): string =>
  fallback === undefined ? summary : `${summary} (default: ${fallback})`

/**
 * The settings that the parsed flags of a command, the environment and the file say.
 *
 * @throws {UserError} `ERR_USAGE`, `ERR_CONFIG`
 */
export async function settingsOf(command: Command, host: Pick<Host, 'env' | 'cwd'>): Promise<Settings> {
  const given = command.opts<Readonly<Record<string, unknown>>>()
  const flags = new Map<SettingKey, string | readonly string[] | true>()
  for (const key of settingKeys) {
    const flag = flagOf(key)
    const option = command.options.find((each) => each.long === flag)
    if (flag === undefined || option === undefined) continue
    const value = given[option.attributeName()]
    if (command.getOptionValueSource(option.attributeName()) !== 'cli') continue
    flags.set(key, value === false ? 'false' : (value as string | readonly string[] | true))
  }
  const config = given.config
  return await readSettings(flags as FlagValues, typeof config === 'string' ? config : undefined, host)
}
