import { join } from 'node:path'
import type { CredentialProvider } from '@tsbuild/registry'
import type { Host } from '../host.ts'
import { configFolder, readIfThere } from './read-if-there.ts'

/**
 * Where credentials are kept, the first counts most: the file that REGISTRY_AUTH_FILE names and no other; else Docker's
 * `config.json`, then podman's two `auth.json`.
 *
 * @returns absolute paths, the first of them the one that `tsbuild login` writes; empty where nothing says
 */
export function credentialFiles({ env, uid }: Pick<Host, 'env' | 'uid'>): readonly string[] {
  if (env.REGISTRY_AUTH_FILE) return [env.REGISTRY_AUTH_FILE]
  const docker = dockerConfigPath(env)
  const runtime = env.XDG_RUNTIME_DIR ? env.XDG_RUNTIME_DIR : `/run/containers/${uid}`
  const podman = env.XDG_RUNTIME_DIR ? join(runtime, 'containers', 'auth.json') : join(runtime, 'auth.json')
  const folder = configFolder(env)
  return [
    ...(docker === undefined ? [] : [docker]),
    podman,
    ...(folder === undefined ? [] : [join(folder, 'containers', 'auth.json')]),
  ]
}

/** Finds credentials in {@link credentialFiles}, which are read when a registry first asks for some. */
export function registryCredentials(host: Pick<Host, 'env' | 'uid'>): CredentialProvider {
  let provider: Promise<CredentialProvider> | undefined
  return async (registry, repository) => {
    provider ??= openFiles(host)
    return (await provider)(registry, repository)
  }
}

async function openFiles(host: Pick<Host, 'env' | 'uid'>): Promise<CredentialProvider> {
  const { dockerConfigCredentials, firstCredentials } = await import('@tsbuild/registry')
  const opened = credentialFiles(host).map(async (path) => {
    const text = await readIfThere(path)
    return text === undefined ? undefined : dockerConfigCredentials(text, undefined, path)
  })
  return firstCredentials((await Promise.all(opened)).filter((one) => one !== undefined))
}

/** `config.json` in `$DOCKER_CONFIG` or `~/.docker`; undefined where neither is said. */
export function dockerConfigPath(env: Host['env']): string | undefined {
  const folder = env.DOCKER_CONFIG || (env.HOME ? join(env.HOME, '.docker') : undefined)
  return folder === undefined ? undefined : join(folder, 'config.json')
}
