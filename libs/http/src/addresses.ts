import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Addresses that mean this machine or its cloud's metadata service: nothing on another host may send us there. */
const internal = new BlockList()
internal.addSubnet('127.0.0.0', 8, 'ipv4')
internal.addSubnet('0.0.0.0', 8, 'ipv4')
internal.addSubnet('169.254.0.0', 16, 'ipv4')
internal.addAddress('100.100.100.200', 'ipv4')
internal.addAddress('::1', 'ipv6')
internal.addAddress('::', 'ipv6')
internal.addSubnet('fe80::', 10, 'ipv6')
internal.addAddress('fd00:ec2::254', 'ipv6')
internal.addAddress('192.0.0.192', 'ipv4')
internal.addAddress('168.63.129.16', 'ipv4')
// IPv4 in IPv6 for translators (RFC 6052), and as old stacks wrote it: loopback and link-local.
for (const prefix of ['64:ff9b::', '::']) {
  internal.addSubnet(`${prefix}7f00:0`, 104, 'ipv6')
  internal.addSubnet(`${prefix}a9fe:0`, 112, 'ipv6')
}

/** Networks that are somebody's own: RFC 1918, RFC 6598 and RFC 4193, also behind a translator. */
const ownNetworks = new BlockList()
for (const [address, bits] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
] as const) {
  ownNetworks.addSubnet(address, bits, 'ipv4')
  ownNetworks.addSubnet(`64:ff9b::${address}`, 96 + bits, 'ipv6')
}
ownNetworks.addSubnet('fc00::', 7, 'ipv6')

/** Whether an address is in a network that is somebody's own, and not this machine's alone. */
export function isPrivateAddress(address: string): boolean {
  return listed(ownNetworks, address)
}

/** Whether an address is one that a server elsewhere must not make us connect to. Private networks are not among them. */
export function isInternalAddress(address: string): boolean {
  return listed(internal, address)
}

/** Whether a host, as {@link URL} gives it, is this machine by its name or its address alone. */
export function isLoopbackHost(hostname: string): boolean {
  const bare = bareHost(hostname)
  return bare === 'localhost' || bare.endsWith('.localhost') || listed(loopback, bare)
}

/** Whether a host is written as an address that {@link isInternalAddress}, or as a name for one. */
function isInternalHost(hostname: string): boolean {
  const bare = bareHost(hostname)
  return isLoopbackHost(bare) || isInternalAddress(bare) || bare === 'metadata.google.internal'
}

/** Whether `to` may be another machine than `from`: what a server says about such a host is not taken on trust. */
export function isForeignHost(from: string, to: string): boolean {
  return from !== to && !(isLoopbackHost(from) && isLoopbackHost(to))
}

/** Whether a server on `from` that names `to` would make us talk to our own machine or its metadata service. */
export function leadsInside(from: string, to: string): boolean {
  return isForeignHost(from, to) && isInternalHost(to)
}

/** A dot at the end of a name says only that it is whole. */
function bareHost(hostname: string): string {
  return withoutBrackets(hostname).toLowerCase().replace(/\.$/, '')
}

/** `[::1]` is how URLs write what the address functions call `::1`. */
export function withoutBrackets(hostname: string): string {
  return hostname.startsWith('[') && hostname.endsWith(']') ? hostname.slice(1, -1) : hostname
}

function listed(list: BlockList, address: string): boolean {
  const family = isIP(address)
  return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
}
