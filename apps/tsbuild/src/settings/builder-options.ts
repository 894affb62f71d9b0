import { join, resolve } from 'node:path'
import type { BuilderOptions } from '@tsbuild/builder'
import { UserError } from '@tsbuild/errors'
import type { GlobalFlags } from '../argv/global-flags.ts'
import { parseSpaceLimit } from '../argv/space-limit.ts'
import type { Host } from '../host.ts'
import { version } from '../version.ts'
import { type ConfigFile, readConfigFile } from './config-file.ts'
import { historyLimits } from './history-limits.ts'
import { configFolder, readIfThere } from './read-if-there.ts'
import { dockerConfigPath, registryCredentials } from './registry-credentials.ts'
import { registryHosts } from './registry-hosts.ts'
import { readTrustCa } from './trust-ca.ts'

/**
 * Puts together how the store is opened: flags win over the environment, and that over the configuration file.
 *
 * @param known the configuration file, where it was read before
 * @throws {UserError} `ERR_CONFIG` if the configuration, a certificate or docker's configuration cannot be used; `ERR_USAGE` for a
 *   scope that is no name of one, and for a limit of the history that makes no sense
 */
export async function builderOptions(
  flags: GlobalFlags,
  host: Host,
  known?: ConfigFile,
): Promise<BuilderOptions> {
  const config = known ?? (await readConfigFile(host.env))
  const [trustCa, dockerConfig] = await Promise.all([
    readTrustCa(trustedFiles(flags, host.env, config), host),
    readDockerConfig(host.env),
  ])
  const durability = flags.durability ?? durabilityOf(host.env) ?? config.durability
  const scope = scopeOf(flags, host.env)
  const history = historyLimits(host.env, config)
  const helperPath = host.env.TSBUILD_HELPER
  const folder = configFolder(host.env)
  return {
    root: storeRoot(flags, host, config),
    ...(helperPath ? { helperPath: resolve(host.cwd, helperPath) } : {}),
    ...(dockerConfig === undefined ? {} : { dockerConfig }),
    ...(trustCa.length === 0 ? {} : { trustCa }),
    credentials: registryCredentials(host),
    registryHosts: registryHosts(host, config),
    ...(config.trustedRealms === undefined ? {} : { trustedRealms: config.trustedRealms }),
    insecureRegistries: [...(config.insecureRegistries ?? []), ...(flags.insecureRegistry ?? [])],
    env: host.env,
    ...(scope === undefined ? {} : { scope }),
    ...(durability === undefined ? {} : { durability }),
    ...(Object.keys(history).length === 0 ? {} : { history }),
    ...(folder === undefined
      ? {}
      : { knownCacheServers: join(folder, 'tsbuild', 'known-cache-servers.json') }),
    version: version(),
    ...spaceOf(flags, host.env, config),
  }
}

/** The limits of the store: `--max-used-space`, TSBUILD_MAX_USED_SPACE, the configuration; nothing where none says. */
function spaceOf(flags: GlobalFlags, env: Host['env'], config: ConfigFile): Pick<BuilderOptions, 'space'> {
  const { TSBUILD_MAX_USED_SPACE: fromEnv } = env
  const name = 'TSBUILD_MAX_USED_SPACE'
  const maxUsed = flags.maxUsedSpace ?? (fromEnv ? parseSpaceLimit(name, fromEnv) : config.maxUsedSpace)
  const { minFreeSpace: minFree } = config
  return maxUsed === undefined && minFree === undefined ? {} : { space: { maxUsed, minFree } }
}

/**
 * Where the store is: `--root`, TSBUILD_ROOT, the configuration, `/var/lib/tsbuild` for root,
 * `$XDG_DATA_HOME/tsbuild`, `~/.local/share/tsbuild`.
 *
 * @throws {UserError} `ERR_CONFIG` if nothing says where
 */
export function storeRoot(flags: GlobalFlags, host: Host, config: ConfigFile): string {
  const { env } = host
  const named = flags.root ?? (env.TSBUILD_ROOT || config.root)
  if (named !== undefined) return resolve(host.cwd, named)
  if (host.uid === 0) return '/var/lib/tsbuild'
  if (env.XDG_DATA_HOME) return join(env.XDG_DATA_HOME, 'tsbuild')
  if (env.HOME) return join(env.HOME, '.local', 'share', 'tsbuild')
  throw new UserError('ERR_CONFIG', 'Cannot choose a directory for the store: HOME is not set', {
    hints: ['Name one with --root or TSBUILD_ROOT.'],
  })
}

/** TSBUILD_DURABILITY; undefined where it is not set. */
function durabilityOf({ TSBUILD_DURABILITY: value }: Host['env']): 'full' | 'none' | undefined {
  if (value === undefined || value === '') return undefined
  if (value === 'full' || value === 'none') return value
  throw new UserError('ERR_CONFIG', `Cannot use TSBUILD_DURABILITY "${value}": expected "full" or "none"`)
}

/** The trust scope: `--scope`, TSBUILD_SCOPE; undefined where neither says. */
function scopeOf(flags: GlobalFlags, env: Host['env']): string | undefined {
  const scope = flags.scope ?? (env.TSBUILD_SCOPE || undefined)
  if (scope === undefined || (/^[a-z0-9._/-]+$/.test(scope) && !scope.includes('..'))) return scope
  throw new UserError(
    'ERR_USAGE',
    `Cannot use scope "${scope}": expected lower-case letters, digits and \`. _ / -\`, and no \`..\``,
    { hints: ['For example `--scope pr/7`.'] },
  )
}

/** All sources add up: a site's certificate in the configuration does not go away because a job names another. */
export function trustedFiles(
  flags: Pick<GlobalFlags, 'trustCa'>,
  env: Host['env'],
  config: ConfigFile,
): readonly string[] {
  const fromEnv = (env.TSBUILD_TRUST_CA ?? '').split(':').filter((path) => path !== '')
  return [...(config.trustCa ?? []), ...fromEnv, ...(flags.trustCa ?? [])]
}

/** The text of docker's `config.json`, in `$DOCKER_CONFIG` or `~/.docker`; undefined where there is none. */
export async function readDockerConfig(env: Host['env']): Promise<string | undefined> {
  const path = dockerConfigPath(env)
  return path === undefined ? undefined : await readIfThere(path)
}
