/** Name servers of last resort, as BuildKit has them. */
const publicServers = ['8.8.8.8', '8.8.4.4', '2001:4860:4860::8888', '2001:4860:4860::8844']

/** A zone or a comment may follow the address. */
const loopbackServer = /^\s*nameserver\s+(?:127\.|::1(?![0-9a-f:.]))/i

/**
 * The `/etc/resolv.conf` of a step, from the host's.
 *
 * With the host's network it is the host's own text: its loopback resolvers can be reached. Without, loopback servers
 * are left out, and public ones are named where none is left.
 *
 * @see spec/dockerfile.md 2.2
 */
export function resolvConfFor(network: 'host' | 'none', hostText: string): string {
  if (network === 'host') return hostText
  const lines = hostText.split('\n').filter((line) => !loopbackServer.test(line))
  const hasServer = lines.some((line) => /^\s*nameserver\s/.test(line))
  if (!hasServer) lines.push(...publicServers.map((server) => `nameserver ${server}`))
  return `${lines.filter((line) => line.trim() !== '').join('\n')}\n`
}

/** The `/etc/hosts` of a step. @see spec/dockerfile.md 2.2 */
export function hostsFor(
  hostname: string,
  extra: readonly { readonly name: string; readonly ip: string }[],
): string {
  const own = [`127.0.0.1\tlocalhost ${hostname}`, '::1\tlocalhost ip6-localhost ip6-loopback']
  return `${[...own, ...extra.map(({ name, ip }) => `${ip}\t${name}`)].join('\n')}\n`
}
