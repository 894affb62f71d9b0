import { connect, createServer, type Socket } from 'node:net'

/** A line between a client and a server on which something happens at a certain byte. */
export interface Gate {
  /** `127.0.0.1:port`: where the client connects. */
  readonly host: string
  /** Whether the byte has passed. */
  readonly isPassed: () => boolean
  readonly stop: () => Promise<void>
}

/**
 * Starts a gate before a server. Once so many bytes of requests (or of answers) have passed, over all connections
 * together, nothing passes until `happens` has resolved, and the connections of that moment are closed. Later ones pass
 * freely.
 *
 * @param server `host:port`
 */
export async function startGate(
  server: string,
  after: number,
  happens: () => Promise<void>,
  counted: 'requests' | 'answers' = 'requests',
): Promise<Gate> {
  const [host = '', port = ''] = server.split(':')
  const open = new Set<Socket>()
  let passed = 0
  let event: Promise<void> | undefined
  const gate = createServer((client) => {
    const upstream = connect(Number(port), host)
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(one)
      one.on('error', () => undefined)
      one.once('close', () => {
        open.delete(one)
        other.destroy()
      })
    }
    pass(client, upstream, counted === 'requests')
    pass(upstream, client, counted === 'answers')
  })
  const pass = (from: Socket, to: Socket, counts: boolean) => {
    from.on('data', (chunk: Buffer) => {
      if (counts) passed += chunk.length
      if (passed >= after && event === undefined) return cut()
      if (!to.write(chunk)) from.pause()
    })
    to.on('drain', () => from.resume())
  }
  const cut = () => {
    const hit = [...open]
    for (const socket of hit) socket.pause()
    event = happens().finally(() => {
      for (const socket of hit) socket.destroy()
    })
  }
  await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve))
  const address = gate.address()
  if (address === null || typeof address === 'string') throw new Error('the gate has no port')
  return {
    host: `127.0.0.1:${address.port}`,
    isPassed: () => event !== undefined,
    stop: () =>
      new Promise((resolve) => {
        gate.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
}
