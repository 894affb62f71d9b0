import { join } from 'node:path'
import type { SpaceLimit } from '@tsbuild/builder'
import { parseAge, parseSize } from '@tsbuild/command-line'
import { didYouMean, isBuildError, UserError } from '@tsbuild/errors'
import { parseSpaceLimit } from '../argv/space-limit.ts'
import type { Host } from '../host.ts'
import { parseRegistryName } from '../registry-name.ts'
import { configFolder, readIfThere } from './read-if-there.ts'

/** What `config.json` may set; flags and environment win over it. */
export interface ConfigFile {
  readonly root?: string
  readonly trustCa?: readonly string[]
  readonly insecureRegistries?: readonly string[]
  /** Hosts of token servers that may see credentials though they are on another site than their registry. */
  readonly trustedRealms?: readonly string[]
  /** Checked by `@tsbuild/registry-config` when a registry is asked. @see docs/reference/registries.md */
  readonly registries?: object
  readonly durability?: 'full' | 'none'
  /** How much history is kept: a number of builds, an age such as `30d`, and a size such as `1g`. */
  readonly historyBuilds?: number
  readonly historyAge?: string
  readonly historySize?: string
  /** How much the store may take. */
  readonly maxUsedSpace?: SpaceLimit
  /** How much of the disk stays free. */
  readonly minFreeSpace?: SpaceLimit
  /** As `--cache-from`, `--cache-to` and `--cache-required`; checked when something is built. */
  readonly cacheFrom?: readonly string[]
  readonly cacheTo?: readonly string[]
  readonly cacheRequired?: boolean
}

const keys = [
  'root',
  'trustCa',
  'insecureRegistries',
  'trustedRealms',
  'registries',
  'durability',
  'historyBuilds',
  'historyAge',
  'historySize',
  'maxUsedSpace',
  'minFreeSpace',
  'cacheFrom',
  'cacheTo',
  'cacheRequired',
] as const

/**
 * Reads `$XDG_CONFIG_HOME/tsbuild/config.json` (or `~/.config/tsbuild/config.json`); empty where there is none.
 *
 * @throws {UserError} `ERR_CONFIG` if it cannot be read, is no JSON, or has an unknown key or a value of a wrong type
 */
export async function readConfigFile(env: Host['env']): Promise<ConfigFile> {
  const path = configPath(env)
  const text = path === undefined ? undefined : await readIfThere(path)
  return path === undefined || text === undefined ? {} : parseConfigFile(text, path)
}

/** Where the configuration is; undefined where nothing says. */
export function configPath(env: Host['env']): string | undefined {
  const folder = configFolder(env)
  return folder === undefined ? undefined : join(folder, 'tsbuild', 'config.json')
}

/**
 * Checks the text of a configuration file.
 *
 * @param path named in errors
 * @throws {UserError} `ERR_CONFIG` as {@link readConfigFile}
 */
export function parseConfigFile(text: string, path: string): ConfigFile {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new UserError('ERR_CONFIG', `Cannot read configuration "${path}": expected JSON`, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(path, 'expected an object')
  const config: Record<string, unknown> = {}
  for (const [key, setting] of Object.entries(value)) config[key] = checkSetting(path, key, setting)
  return config
}

function checkSetting(path: string, key: string, value: unknown): unknown {
  switch (keys.find((known) => known === key)) {
    case 'root':
      if (typeof value === 'string' && value.startsWith('/')) return value
      throw wrong(path, 'key "root" is an absolute path')
    case 'durability':
      if (value === 'full' || value === 'none') return value
      throw wrong(path, 'key "durability" is "full" or "none"')
    case 'historyBuilds':
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
      throw wrong(path, 'key "historyBuilds" is a whole number from 0 on')
    case 'historyAge':
      if (typeof value === 'string') {
        checked(path, key, (text) => parseAge(key, text), value)
        return value
      }
      throw wrong(path, 'key "historyAge" is an age such as "30d"')
    case 'historySize':
      if (typeof value === 'string') {
        checked(path, key, (text) => parseSize(key, text), value)
        return value
      }
      throw wrong(path, 'key "historySize" is a size such as "1g"')
    case 'insecureRegistries':
      return texts(path, key, value).map((one) => checked(path, key, parseRegistryName, one))
    case 'trustCa':
    case 'trustedRealms':
    case 'cacheFrom':
    case 'cacheTo':
      return texts(path, key, value)
    case 'cacheRequired':
      if (typeof value === 'boolean') return value
      throw wrong(path, 'key "cacheRequired" is true or false')
    case 'registries':
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
      throw wrong(path, 'key "registries" is an object from registries to their settings')
    case 'maxUsedSpace':
    case 'minFreeSpace':
      return checkSpace(path, key, value)
    case undefined:
      throw wrong(path, `key "${key}" is not known`, didYouMean(key, keys))
  }
}

function texts(path: string, key: string, value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value
  throw wrong(path, `key "${key}" is a list of strings`)
}

/** What is wrong in a file is no mistake of the command line. */
function checked<T>(path: string, key: string, parse: (text: string) => T, text: string): T {
  try {
    return parse(text)
  } catch {
    throw wrong(path, `key "${key}" cannot be "${text}"`)
  }
}

function checkSpace(path: string, key: string, value: unknown): SpaceLimit {
  const state = `key "${key}" is a size such as "100g", a share such as "80%", or "unlimited"`
  if (typeof value !== 'string') throw wrong(path, state)
  try {
    return parseSpaceLimit(key, value)
  } catch (error) {
    if (!isBuildError(error)) throw error
    throw wrong(path, state)
  }
}

function wrong(path: string, state: string, hints: readonly string[] = []): UserError {
  return new UserError('ERR_CONFIG', `Cannot use configuration "${path}": ${state}`, { hints })
}
