import type { RegistryClient } from '@tsbuild/registry'
import type { RegistryFlags } from './argv/global-flags.ts'
import type { Host } from './host.ts'
import { trustedFiles } from './settings/builder-options.ts'
import { readConfigFile } from './settings/config-file.ts'
import { registryCredentials } from './settings/registry-credentials.ts'
import { registryHosts } from './settings/registry-hosts.ts'
import { readTrustCa } from './settings/trust-ca.ts'

/**
 * Makes a client of registries as long as `use` runs; no store is opened. The signal aborts at the first SIGINT, SIGTERM or SIGHUP; the
 * second leaves the process at once.
 */
export async function withRegistry<Result>(
  flags: RegistryFlags,
  host: Host,
  use: (client: RegistryClient, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const { env } = host
  const config = await readConfigFile(env)
  const { createRegistryClient } = await import('@tsbuild/registry')
  const client = createRegistryClient({
    credentials: registryCredentials(host),
    hosts: registryHosts(host, config),
    trustedRealms: config.trustedRealms,
    ca: await readTrustCa(trustedFiles(flags, env, config), host),
    insecureHosts: [...(config.insecureRegistries ?? []), ...(flags.insecureRegistry ?? [])],
    proxy: {
      httpProxy: env.HTTP_PROXY ?? env.http_proxy,
      httpsProxy: env.HTTPS_PROXY ?? env.https_proxy,
      noProxy: env.NO_PROXY ?? env.no_proxy,
    },
  })
  const abort = new AbortController()
  const stop = host.onSignal(() => {
    if (abort.signal.aborted) host.exitNow(130)
    abort.abort()
  })
  try {
    return await use(client, abort.signal)
  } finally {
    stop()
    await client.close()
  }
}
