import { redact, UserError } from '@tsbuild/errors'
import { isLoopbackHost } from '@tsbuild/http'
import { parseUrl } from '@tsbuild/shape'
import type { ServerPlace } from '../types.ts'

/**
 * Refuses to show a token, or what is exchanged for one, where everybody on the way can read it: over plain HTTP to another machine that
 * nobody declared insecure.
 *
 * @param insecureHosts `host:port`, or `host` for port 80
 * @throws {UserError} `ERR_CACHE_SERVER_URL`
 */
export function refuseTokenInClear(
  { url, token, identity, insecure }: ServerPlace,
  insecureHosts: readonly string[],
): void {
  const parsed = parseUrl(url)
  if (parsed?.protocol !== 'http:' || (token === undefined && identity === undefined)) return
  const { host, hostname, port } = parsed
  const withPort = `${hostname}:${port === '' ? '80' : port}`
  const isDeclared = insecureHosts.includes(host) || insecureHosts.includes(withPort)
  if (insecure === true || isDeclared || isLoopbackHost(hostname)) return
  throw new UserError(
    'ERR_CACHE_SERVER_URL',
    `Cannot use cache-server "${redact(url)}": a token would be sent to it in clear over plain HTTP`,
    {
      hints: [
        'Give its address as https://, or show it no token.',
        `Where its network is trusted, declare it insecure: \`registry.insecure=true\`, or \`--insecure-registry ${withPort}\`.`,
      ],
    },
  )
}
