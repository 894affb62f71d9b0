import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { didYouMean, UserError } from '@tsbuild/errors'
import type { Host } from '../host.ts'
import { asConfigError, type FileSettings, parseConfigFile } from './config-file.ts'
import {
  flagOf,
  rowOf,
  type SettingKey,
  type SettingValues,
  settingKeys,
  variableOf,
  variablePrefix,
} from './table.ts'

/** Where the value of a setting came from. */
export type SettingSource = 'flag' | 'environment' | 'file' | 'default' | 'not set'

/** What all sources together say. */
export interface Settings extends SettingValues {
  /** For each key where its value is from, and how it was written. */
  readonly origins: ReadonlyMap<SettingKey, { readonly source: SettingSource; readonly written: string }>
  /** The configuration file, absolute; undefined where there is none. */
  readonly file: string | undefined
  /** What looks like a mistake and stops nothing. */
  readonly warnings: readonly string[]
}

/** What flags say: texts as given, by key. */
export type FlagValues = ReadonlyMap<SettingKey, string | readonly string[] | true>

/** Kubernetes puts these into every container beside a service called `tsbuild-cache-server`. */
const ofKubernetes = /^(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)$/

/**
 * Puts the settings together: flags win over the environment, the environment over the file, the file over what is preset. The file is
 * the one of `--config`, else of `TSBUILD_CACHE_SERVER_CONFIG`; no other place is looked at.
 *
 * @throws {UserError} `ERR_USAGE` for a flag or variable, `ERR_CONFIG` for the file
 */
export async function readSettings(
  flags: FlagValues,
  configFlag: string | undefined,
  host: Pick<Host, 'env' | 'cwd'>,
): Promise<Settings> {
  const named = configFlag ?? host.env[`${variablePrefix}CONFIG`]
  const file = named === undefined || named === '' ? undefined : resolve(host.cwd, named)
  const inFile: FileSettings = file === undefined ? new Map() : await readConfigFile(file)
  const origins = new Map<SettingKey, { source: SettingSource; written: string }>()
  const values = new Map<SettingKey, unknown>()
  for (const key of settingKeys) {
    const found = find(key, flags, host, inFile, file)
    origins.set(key, { source: found.source, written: found.written })
    values.set(key, found.value)
  }
  const all = Object.fromEntries(values) as unknown as SettingValues
  return { ...all, origins, file, warnings: strangeVariables(host.env) }
}

async function readConfigFile(file: string): Promise<FileSettings> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UserError('ERR_CONFIG', `Cannot read configuration "${file}": ${reason}`, { cause })
  }
  return await parseConfigFile(text, file)
}

interface Found {
  readonly source: SettingSource
  readonly written: string
  readonly value: unknown
}

function find(
  key: SettingKey,
  flags: FlagValues,
  host: Pick<Host, 'env' | 'cwd'>,
  inFile: FileSettings,
  file: string | undefined,
): Found {
  const row = rowOf(key)
  const [flag, variable] = [flagOf(key), variableOf(key)]
  const parse = (name: string, written: string, base: string): unknown =>
    row.form.isPath === true
      ? resolve(base, String(row.form.parse(name, written)))
      : row.form.parse(name, written)
  const fromFlag = flags.get(key)
  if (flag !== undefined && fromFlag !== undefined) {
    const written = fromFlag === true ? 'true' : [fromFlag].flat().join(',')
    return { source: 'flag', written, value: parse(flag, written, host.cwd) }
  }
  const fromVariable = variable === undefined ? undefined : host.env[variable]
  if (variable !== undefined && fromVariable !== undefined && fromVariable !== '')
    return {
      source: 'environment',
      written: fromVariable,
      value: parse(variable, fromVariable, host.cwd),
    }
  if (file !== undefined && inFile.has(key)) {
    const written = inFile.get(key)
    if (row.isFileOnly === true) return { source: 'file', written: JSON.stringify(written), value: written }
    const joined = Array.isArray(written) ? written.join(',') : String(written)
    try {
      return { source: 'file', written: joined, value: parse(`key "${key}"`, joined, dirname(file)) }
    } catch (error) {
      throw asConfigError(file, error)
    }
  }
  if (row.fallback === undefined) return { source: 'not set', written: '', value: undefined }
  return { source: 'default', written: row.fallback, value: row.form.parse(key, row.fallback) }
}

function strangeVariables(env: Host['env']): readonly string[] {
  const known = [`${variablePrefix}CONFIG`, ...settingKeys.flatMap((key) => variableOf(key) ?? [])]
  return Object.keys(env)
    .filter((name) => name.startsWith(variablePrefix) && !known.includes(name))
    .filter((name) => !ofKubernetes.test(name.slice(variablePrefix.length)))
    .map((name) => [`Variable ${name} is not known`, ...didYouMean(name, known)].join('. '))
}
