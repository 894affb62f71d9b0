import type { Host } from '../host.ts'

/** The variables that name proxies. */
export function proxyOf(env: Host['env']) {
  return {
    httpProxy: env.http_proxy,
    httpsProxy: env.https_proxy ?? env.HTTPS_PROXY,
    noProxy: env.no_proxy ?? env.NO_PROXY,
  }
}
