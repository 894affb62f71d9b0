import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Agent, AgentConnection } from './agent.ts'
import { framed, readMessages } from './frames.ts'
import { identitiesRequest, parseIdentities, parseSignature, signRequest } from './messages.ts'
import { openSocketPath } from './socket-path.ts'
import { MalformedMessage } from './wire.ts'

/**
 * Uses the agent that listens on a socket: each client gets a connection of its own, made with its first request.
 *
 * @param socket absolute path
 * @param onGone called the first time that the agent does not answer, or not as an agent does; its clients are told no
 */
export function socketAgent(socket: string, onGone: (why: string) => void): Agent {
  let isGone = false
  const gone = (error: unknown) => {
    if (!isGone) onGone(error instanceof Error ? error.message : String(error))
    isGone = true
  }
  return { open: () => openConnection(socket, gone) }
}

function openConnection(path: string, onGone: (error: unknown) => void): AgentConnection {
  let open: Promise<Peer> | undefined
  let isClosed = false
  async function ask<T>(request: Buffer, parse: (answer: Buffer) => T): Promise<T | undefined> {
    if (isClosed) return undefined
    open ??= connectTo(path)
    const peer = open
    try {
      return parse(await (await peer).ask(request))
    } catch (error) {
      if (!(error instanceof MalformedMessage) && !(error instanceof Error && 'code' in error)) throw error
      if (!isClosed) onGone(error)
      // The next request may find it again.
      open = undefined
      drop(peer)
      return undefined
    }
  }
  return {
    identities: () => ask(identitiesRequest(), parseIdentities),
    sign: (request) => ask(signRequest(request), parseSignature),
    close() {
      isClosed = true
      if (open !== undefined) drop(open)
    },
  }
}

function drop(peer: Promise<Peer>): void {
  peer.then(
    ({ socket }) => socket.destroy(),
    () => {},
  )
}

interface Peer {
  readonly socket: Socket
  readonly ask: (request: Buffer) => Promise<Buffer>
}

async function connectTo(path: string): Promise<Peer> {
  const place = await openSocketPath(path)
  try {
    const socket = connect(place.path)
    await once(socket, 'connect')
    // Seen by who waits for an answer; between two answers nobody does.
    socket.on('error', () => {})
    const answers = readMessages(socket)
    const ask = async (request: Buffer): Promise<Buffer> => {
      socket.write(framed(request))
      const { value } = await answers.next()
      if (value === undefined) throw new MalformedMessage('it ends the connection')
      return value
    }
    return { socket, ask }
  } finally {
    await place.close()
  }
}
