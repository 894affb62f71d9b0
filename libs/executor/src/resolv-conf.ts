import { textOf } from './text-of.ts'

/** Name servers of last resort, as BuildKit has them. */
const publicServers = ['8.8.8.8', '8.8.4.4', '2001:4860:4860::8888', '2001:4860:4860::8844']

const server = /^\s*nameserver\s/

/** A zone or a comment may follow the address. */
const loopbackServer = /^\s*nameserver\s+(?:127\.|::1(?![0-9a-f:.]))/i

/** systemd's own resolver, alone. */
const onlySystemd = /^\s*nameserver\s+127\.0\.0\.53\s*(?:[#;].*)?$/

/** Where the resolver of the host is configured. */
export interface ResolverFiles {
  readonly resolvConf: string
  /** The servers behind systemd's own, which listens on the loopback. */
  readonly systemd: string
}

/** The files of a usual machine. */
export const usualResolver: ResolverFiles = {
  resolvConf: '/etc/resolv.conf',
  systemd: '/run/systemd/resolve/resolv.conf',
}

/** What a process reaches. */
export type Reach =
  | { readonly kind: 'host' | 'none' }
  /** A private network with its own name server. */
  | { readonly kind: 'session'; readonly dns: string }

/**
 * The `/etc/resolv.conf` of a step, from the host's. A host without one gives an empty text.
 *
 * With the host's network it is the host's own text: its loopback resolvers can be reached. In a private network the one
 * server is that of the network, which asks those of the host. Without a network loopback servers are left out, and public
 * ones are named where none is left. The other lines stay.
 *
 * @see spec/dockerfile.md 2.2
 */
export function resolvConfFor(network: Reach, files: ResolverFiles): string {
  const hostText = textOf(files.resolvConf)
  if (network.kind === 'host') return hostText
  if (network.kind === 'session') return withServers(hostText.split('\n'), server, [network.dns])
  const servers = hostText.split('\n').filter((line) => server.test(line))
  const behind = servers.length === 1 && onlySystemd.test(servers[0] ?? '') ? textOf(files.systemd) : ''
  return withServers((behind || hostText).split('\n'), loopbackServer, publicServers)
}

/** The lines without those that `dropped` describes; with the given servers where no server is left. */
function withServers(all: readonly string[], dropped: RegExp, given: readonly string[]): string {
  const lines = all.filter((line) => !dropped.test(line) && line.trim() !== '')
  const added = lines.some((line) => server.test(line)) ? [] : given.map((address) => `nameserver ${address}`)
  return `${[...lines, ...added].join('\n')}\n`
}

/** The `/etc/hosts` of a step. @see spec/dockerfile.md 2.2 */
export function hostsFor(
  hostname: string,
  extra: readonly { readonly name: string; readonly ip: string }[],
): string {
  const own = [`127.0.0.1\tlocalhost ${hostname}`, '::1\tlocalhost ip6-localhost ip6-loopback']
  return `${[...own, ...extra.map(({ name, ip }) => `${ip}\t${name}`)].join('\n')}\n`
}
