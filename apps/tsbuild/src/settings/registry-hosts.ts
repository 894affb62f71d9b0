import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import type { RegistryHosts } from '@tsbuild/registry'
import type { RegistryConfig } from '@tsbuild/registry-config'
import type { Host } from '../host.ts'
import { type ConfigFile, configPath } from './config-file.ts'
import { configFolder, readIfThere, unlessForbidden } from './read-if-there.ts'

/** What is needed of the process. */
export type RegistryHostsHost = Pick<Host, 'env' | 'cwd'>

/**
 * Reads what configuration files of this machine say about registries, when it is first wanted: most builds ask no registry.
 * docs/reference/registries.md has the files and their order.
 *
 * @param etc where the files of the machine are
 */
export function registryHosts(
  host: RegistryHostsHost,
  config: ConfigFile,
  etc = '/etc',
): () => Promise<RegistryHosts> {
  return async () => {
    const { mergeConfigs, readOwnRegistries } = await import('@tsbuild/registry-config')
    const { registries } = config
    const own = registries === undefined ? [] : [readOwnRegistries(registries, configPath(host.env) ?? '')]
    const [containers, containerd, docker] = await Promise.all([
      readContainers(host.env, etc),
      readContainerd(join(etc, 'containerd', 'certs.d')),
      readDocker(host.env, etc),
    ])
    const { rules, insecure, searchIn, files } = mergeConfigs([
      ...own,
      ...containers,
      ...containerd,
      ...docker,
    ])
    const { hostCertificates } = await import('./host-certificates.ts')
    const certificates = hostCertificates(host, files, etc)
    return { rules, insecure, searchIn: searchIn ?? [], certificates }
  }
}

/**
 * `registries.conf`: the file that CONTAINERS_REGISTRIES_CONF names, else the user's, else the machine's; and what lies in the
 * folders `registries.conf.d`, where the last name counts most. The user's file hides the machine's folder.
 */
async function readContainers(env: Host['env'], etc: string): Promise<readonly RegistryConfig[]> {
  const folder = configFolder(env)
  const users = folder === undefined ? undefined : join(folder, 'containers')
  const machines = join(etc, 'containers')
  const named = env.CONTAINERS_REGISTRIES_CONF || env.REGISTRIES_CONFIG_PATH || undefined
  const ofUser = users === undefined ? undefined : await readConf(join(users, 'registries.conf'))
  const main =
    named === undefined
      ? (ofUser ?? (await readConf(join(machines, 'registries.conf'))))
      : await mustRead(named)
  const folders = [
    ...(users === undefined ? [] : [users]),
    ...(named === undefined && ofUser === undefined ? [machines] : []),
  ]
  const dropIns = await Promise.all(folders.map((one) => readDropIns(join(one, 'registries.conf.d'))))
  return [...dropIns.flat(), ...(main === undefined ? [] : [main])]
}

async function mustRead(path: string): Promise<RegistryConfig> {
  const config = await readConf(path)
  if (config !== undefined) return config
  throw new UserError('ERR_CONFIG', `Cannot read configuration "${path}": there is no such file`, {
    hints: ['CONTAINERS_REGISTRIES_CONF names it.'],
  })
}

async function readConf(path: string): Promise<RegistryConfig | undefined> {
  const text = await readIfThere(path)
  if (text === undefined) return undefined
  const { parseRegistriesConf } = await import('@tsbuild/registry-config')
  return parseRegistriesConf(text, path)
}

async function readDropIns(folder: string): Promise<readonly RegistryConfig[]> {
  const names = (await namesIn(folder)).filter((name) => name.endsWith('.conf')).reverse()
  const read = await Promise.all(names.map((name) => readConf(join(folder, name))))
  return read.filter((config) => config !== undefined)
}

async function readContainerd(folder: string): Promise<readonly RegistryConfig[]> {
  const { isHost, parseContainerdHosts } = await import('@tsbuild/registry-config')
  const names = await unlessForbidden(() => namesIn(folder), [])
  const read = names.filter(isHost).map(async (name) => {
    const path = join(folder, name, 'hosts.toml')
    const text = await readIfThere(path)
    return text === undefined ? undefined : parseContainerdHosts(text, name, path)
  })
  return (await Promise.all(read)).filter((config) => config !== undefined)
}

/** `daemon.json` of the user's own daemon and of the machine's, if the user may read that. */
async function readDocker(env: Host['env'], etc: string): Promise<readonly RegistryConfig[]> {
  const { parseDockerDaemon } = await import('@tsbuild/registry-config')
  const folder = configFolder(env)
  const paths = [...(folder === undefined ? [] : [folder]), etc].map((one) =>
    join(one, 'docker', 'daemon.json'),
  )
  const read = paths.map(async (path) => {
    const text = await unlessForbidden(() => readIfThere(path), undefined)
    return text === undefined ? undefined : parseDockerDaemon(text, path)
  })
  return (await Promise.all(read)).filter((config) => config !== undefined)
}

/** Sorted; none where there is no such folder. @throws {UserError} `ERR_CONFIG` if it cannot be read */
export async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR'))
      return []
    throw new UserError('ERR_CONFIG', `Cannot read folder "${folder}"`, { cause })
  }
}
