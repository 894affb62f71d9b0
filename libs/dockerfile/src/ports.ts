import { isIP } from 'node:net'
import { type SourceRange, UserError } from '@tsbuild/errors'

/** A port that an image exposes. */
export interface ExposedPort {
  readonly port: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
}

type Refuse = (message: string) => never

function parsePort(text: string): number | null {
  const port = /^\+?\d+$/.test(text) ? Number(text) : Number.NaN
  return port <= 65_535 ? port : null
}

function parseRange(text: string): { readonly first: number; readonly last: number } | null {
  const dash = text.indexOf('-')
  const first = parsePort(dash === -1 ? text : text.slice(0, dash))
  const last = dash === -1 ? first : parsePort(text.slice(dash + 1))
  return first === null || last === null || last < first ? null : { first, last }
}

function parseProtocol(text: string, refuse: Refuse): ExposedPort['protocol'] {
  const protocol = text.toLowerCase()
  if (protocol === '') return 'tcp'
  if (protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp') return protocol
  refuse(`invalid proto: ${text}`)
}

function checkHost(ip: string, refuse: Refuse): void {
  const bare = ip.startsWith('[') && ip.endsWith(']') ? ip.slice(1, -1) : ip
  if (ip !== '' && isIP(bare) === 0) refuse(`invalid IP address: ${ip}`)
}

/**
 * Reads one expanded word of `EXPOSE`: `port[-port][/protocol]`, also with `[ip:]host port:` before it, which has no meaning in
 * an image. Gives every port of a range, ascending; the protocol in lower case, `tcp` when none is written.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` when it is no port
 * @see spec/dockerfile.md 1.2
 */
export function parseExposePort(word: string, source?: SourceRange): readonly ExposedPort[] {
  const refuse: Refuse = (message) => {
    throw new UserError('ERR_DOCKERFILE_SYNTAX', `Cannot expose ${JSON.stringify(word)}: ${message}`, {
      source,
    })
  }
  const parts = word.split(':')
  const [container = '', host = ''] = parts.toReversed()
  const slash = container.indexOf('/')
  const ports = slash === -1 ? container : container.slice(0, slash)
  if (ports === '') refuse('no port specified')
  const protocol = parseProtocol(slash === -1 ? '' : container.slice(slash + 1), refuse)
  checkHost(parts.slice(0, -2).join(':'), refuse)
  const range = parseRange(ports) ?? refuse(`invalid containerPort: ${ports}`)
  if (host !== '') {
    const hostRange = parseRange(host) ?? refuse(`invalid hostPort: ${host}`)
    const count = range.last - range.first
    if (count !== 0 && count !== hostRange.last - hostRange.first) {
      refuse(`invalid ranges specified for container and host Ports: ${ports} and ${host}`)
    }
  }
  return Array.from({ length: range.last - range.first + 1 }, (_, index) => ({
    port: range.first + index,
    protocol,
  }))
}
