import { BlockList, isIP } from 'node:net'
import { badValue } from '@tsbuild/command-line'

/** Where a server listens. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/**
 * Parses `127.0.0.1:7070`, `[::1]:7070`, `localhost:7070`, `:7070` (every address of the machine) or `unix:/run/cache.sock`.
 *
 * @throws {UserError} `ERR_USAGE`
 */
export function parseAddress(name: string, text: string): Address {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length)
    // The kernel's own limit for the name of a socket.
    if (path.startsWith('/') && Buffer.byteLength(path) < 108) return { kind: 'unix', path }
    throw badValue(name, text, '`unix:` and an absolute path of at most 107 bytes')
  }
  const [, bracketed, plain, port] = /^(?:\[([0-9a-f:.]+)\]|([^\s:/[\]]*)):(\d{1,5})$/i.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined || Number(port) > 65535 || (bracketed !== undefined && isIP(bracketed) !== 6))
    throw badValue(name, text, 'an address such as `127.0.0.1:7070`, `[::1]:7070`, `:7070` or `unix:/path`')
  return { kind: 'tcp', host: host === '' ? '::' : host, port: Number(port) }
}

/** As {@link parseAddress} takes it. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return `${isIP(address.host) === 6 ? `[${address.host}]` : address.host}:${address.port}`
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Whether only this machine reaches an IP address. A name is none until it is looked up. */
export function isLoopback(ip: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1] ?? ip
  const version = isIP(mapped)
  return version !== 0 && loopback.check(mapped, version === 6 ? 'ipv6' : 'ipv4')
}
