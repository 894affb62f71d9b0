import { chmod, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Agent, AgentConnection } from './agent.ts'
import { framed, readMessages } from './frames.ts'
import {
  failureAnswer,
  identitiesAnswer,
  noIdentities1Answer,
  parseRequest,
  signatureAnswer,
} from './messages.ts'
import { openSocketPath } from './socket-path.ts'
import { MalformedMessage } from './wire.ts'

/** More connections at once are ended as they come. */
export const maxConnections = 64

/** A socket on which an agent is served. */
export interface ServedAgent {
  /** Absolute path; mode 0600. */
  readonly socket: string
  /** Ends every connection and removes the socket. May be called again. */
  close(): Promise<void>
}

/**
 * Serves an agent to whoever can reach a socket in `directory`. Clients may list its keys and sign; whatever else they ask for
 * is refused and goes nowhere: adding, removing, locking, extensions. A client that breaks the protocol is disconnected, and
 * one that is slow or does not read holds up nobody but itself.
 *
 * @param directory absolute, of any length; only its owner should be able to enter it. Nothing else is served in it.
 * @throws {Error} as `bind(2)`
 * @see spec/security.md SEC-05
 */
export async function serveAgent(agent: Agent, directory: string): Promise<ServedAgent> {
  const socket = join(directory, 'agent')
  const place = await openSocketPath(socket)
  const clients = new Set<Socket>()
  // Half-open: a client may stop writing before it has its answer.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    clients.add(client)
    client.on('error', () => {})
    client.on('close', () => clients.delete(client))
    void serveClient(client, agent)
  })
  server.maxConnections = maxConnections
  try {
    await listen(server, place.path)
    await chmod(socket, 0o600)
  } catch (error) {
    server.close()
    await place.close()
    throw error
  }
  const end = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const client of clients) client.destroy()
    await closed
    await rm(socket, { force: true })
    await place.close()
  }
  let ending: Promise<void> | undefined
  return {
    socket,
    close() {
      ending ??= end()
      return ending
    },
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      // A connection that could not be accepted is its client's loss.
      server.on('error', () => {})
      resolve()
    })
  })
}

/** Rejects for a bug of ours only. A message is read when the one before it was answered and the answer was taken. */
async function serveClient(client: Socket, agent: Agent): Promise<void> {
  const connection = agent.open()
  // Also while an answer is waited for: the user's agent may ask its user first.
  client.once('close', () => connection.close())
  try {
    for await (const message of readMessages(client)) await send(client, await answerTo(message, connection))
  } catch (error) {
    if (!(error instanceof MalformedMessage) && !(error instanceof Error && 'code' in error)) throw error
  } finally {
    client.destroy()
  }
}

async function answerTo(message: Buffer, connection: AgentConnection): Promise<Buffer> {
  const request = parseRequest(message)
  switch (request.kind) {
    case 'identities': {
      const identities = await connection.identities()
      return identities === undefined ? failureAnswer() : identitiesAnswer(identities)
    }
    case 'identities1':
      return noIdentities1Answer()
    case 'sign': {
      const signature = await connection.sign(request.request)
      return signature === undefined ? failureAnswer() : signatureAnswer(signature)
    }
    case 'refused':
      return failureAnswer()
  }
}

function send(client: Socket, answer: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    client.write(framed(answer), (error) => (error ? reject(error) : resolve()))
  })
}
