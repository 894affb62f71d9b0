import { EnvironmentError, UserError } from '@tsbuild/errors'
import { isLoopbackHost, leadsInside } from '@tsbuild/http'
import { parseUrl } from '@tsbuild/shape'
import type { Trust } from './hosts.ts'

/** Where a registry of a reference is spoken to, and how much it is trusted. */
export interface Endpoint {
  /** As in references: `docker.io`. */
  readonly registry: string
  readonly origin: URL
  /** Unproven certificates are borne: loopback, and hosts that the user declared insecure. */
  readonly insecure: boolean
  /** And plain HTTP as well. */
  readonly plain: boolean
  /** Whether the scheme of `origin` is known to be the right one. */
  readonly settled: boolean
}

const hubHost = 'registry-1.docker.io'
/** The Hub's search, which its registry does not have. */
export const searchHost = 'index.docker.io'

/**
 * Finds the endpoint of a registry. This machine is spoken to in plain HTTP first, for who runs a registry here has no
 * certificate as a rule; other hosts that may speak plain HTTP are spoken to in HTTPS first, for it is the better of the two.
 *
 * @param insecureHosts as `registry`: `host` is not `host:5000`
 * @param trust what configuration says about the host besides
 * @throws {UserError} `ERR_REFERENCE_INVALID` if it is none that an address can be made of: a port of 99999
 */
export function endpointOf(
  registry: string,
  insecureHosts: readonly string[],
  trust: Trust = 'verified',
): Endpoint {
  const host = registry === 'docker.io' ? hubHost : registry
  if (parseUrl(`https://${host}`) === undefined) {
    throw new UserError('ERR_REFERENCE_INVALID', `Cannot ask registry "${registry}": it is no host`)
  }
  const https = new URL(`https://${host}`)
  const listed = insecureHosts.includes(registry)
  const loopback = isLoopbackHost(https.hostname)
  const plain = listed || trust === 'insecure' || loopback
  const origin = loopback ? new URL(`http://${host}`) : https
  return { registry, origin, insecure: plain || trust === 'unverified', plain, settled: !plain }
}

/**
 * Reads an address that a registry sent: an upload's Location or a redirect. Never leads from a registry elsewhere to this
 * machine or to its metadata service, and never from HTTPS to HTTP; a registry behind a proxy that names its own host
 * with `http:` means `https:`.
 *
 * @throws {EnvironmentError} `ERR_REGISTRY_RESPONSE`
 */
export function resolveLocation(endpoint: Endpoint, base: URL, location: string): URL {
  const refuse = (why: string) =>
    new EnvironmentError(
      'ERR_REGISTRY_RESPONSE',
      `Cannot follow ${endpoint.registry} to ${JSON.stringify(location.slice(0, 200).replace(/\?.*/s, '?…'))}: ${why}`,
    )
  const url = parseUrl(location, base.href)
  if (url === undefined) throw refuse('it is no URL')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refuse('it is neither https nor http')
  if (url.username !== '' || url.password !== '') throw refuse('it has credentials in it')
  if (leadsInside(endpoint.origin.hostname, url.hostname)) throw refuse('it is an address of this machine')
  if (url.protocol === 'http:' && !endpoint.plain) {
    if (url.hostname !== endpoint.origin.hostname) throw refuse('it leaves HTTPS')
    url.protocol = 'https:'
    if (url.port === '80') url.port = ''
  }
  url.hash = ''
  return url
}
