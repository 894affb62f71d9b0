import { BlockList, isIP } from 'node:net'
import { withoutBrackets } from './addresses.ts'

/**
 * Whether a URL's host is excepted from proxies, as Go reads `NO_PROXY`: hosts with everything below them, `.host` for what is
 * below alone, addresses, networks, each but the networks with an optional port, or `*`.
 *
 * @see https://pkg.go.dev/golang.org/x/net/http/httpproxy
 */
export function isExcepted(url: URL, noProxy: string): boolean {
  const host = withoutBrackets(url.hostname).toLowerCase().replace(/\.$/, '')
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return noProxy
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => matches(entry.toLowerCase(), host, port))
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true
  if (entry.includes('/')) return isIP(host) !== 0 && isInNetwork(entry, host)
  const [, name = '', wanted] = /^(\[[^\]]*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry) ?? []
  if (wanted !== undefined && wanted !== port) return false
  const bare = withoutBrackets(name).replace(/\.$/, '')
  if (isIP(bare) !== 0 || isIP(host) !== 0) return isSameAddress(bare, host)
  if (bare.startsWith('*.')) return host.endsWith(bare.slice(1))
  return bare.startsWith('.') ? host.endsWith(bare) : host === bare || host.endsWith(`.${bare}`)
}

function isInNetwork(network: string, host: string): boolean {
  const [address = '', bits = ''] = network.split('/')
  const family = isIP(address)
  if (family === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 6 ? 128 : 32)) return false
  const list = new BlockList()
  list.addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4')
  return list.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4')
}

/** One address may be written in several ways. */
function isSameAddress(one: string, other: string): boolean {
  if (isIP(one) === 0 || isIP(other) === 0) return false
  return isInNetwork(`${one}/${isIP(one) === 6 ? 128 : 32}`, other)
}
