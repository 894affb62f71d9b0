import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { UserError } from '@tsbuild/errors'
import type { Port } from '@tsbuild/native'

/**
 * Tries to listen on each port of this machine that is to be published, and lets it go again. The program that connects the
 * network would fail too, but says less; what another process takes in between is still its to report.
 *
 * @throws {UserError} `ERR_PORT` if another program listens there, the address is not this machine's, or the user may not; and
 * if one port is asked for twice
 */
export async function tryPorts(ports: readonly Port[]): Promise<void> {
  const seen = new Set<string>()
  for (const port of ports) {
    const name = nameOf(port)
    if (seen.has(name)) throw new UserError('ERR_PORT', `Cannot publish port ${name}: it is asked for twice`)
    seen.add(name)
    await tryPort(port)
  }
}

function nameOf({ address, host, protocol }: Port): string {
  const shown = address.includes(':') ? `[${address}]` : address
  return `"${shown}:${host}${protocol === 'udp' ? '/udp' : ''}"`
}

async function tryPort(port: Port): Promise<void> {
  try {
    await (port.protocol === 'udp' ? bind(port) : listen(port))
  } catch (cause) {
    const [why, hint] = reasons[(cause as NodeJS.ErrnoException).code ?? ''] ?? ['nothing can listen there']
    throw new UserError('ERR_PORT', `Cannot publish port ${nameOf(port)}: ${why}`, {
      cause,
      hints: hint === undefined ? [] : [hint],
    })
  }
}

const reasons: Readonly<Record<string, readonly [why: string, hint?: string]>> = {
  EADDRINUSE: [
    'another program listens there',
    'Choose another number before the colon, or end the program.',
  ],
  EADDRNOTAVAIL: [
    'the address is not one of this machine',
    '`0.0.0.0` is all of its addresses; without an address it is 127.0.0.1.',
  ],
  EACCES: ['this user may not listen there', 'Ordinary users have the numbers from 1024 on.'],
}

async function listen({ address, host }: Port): Promise<void> {
  const server = createServer().listen({ host: address, port: host, exclusive: true })
  await once(server, 'listening')
  server.close()
  await once(server, 'close')
}

async function bind({ address, host }: Port): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  try {
    socket.bind({ address, port: host, exclusive: true })
    await once(socket, 'listening')
  } finally {
    socket.close()
  }
}
