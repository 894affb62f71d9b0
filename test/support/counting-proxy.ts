import { connect, createServer, type Socket } from 'node:net'

/** A unix socket before another one, which counts. */
export interface CountingProxy {
  /** Bytes that clients have sent since the last call. */
  readonly take: () => number
  readonly stop: () => Promise<void>
}

/** Listens at `path` and passes everything on to `target`. */
export async function startCountingProxy(path: string, target: string): Promise<CountingProxy> {
  let bytes = 0
  const open = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(target)
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        open.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (chunk) => {
      bytes += chunk.length
    })
    client.pipe(upstream)
    upstream.pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    take: () => {
      const taken = bytes
      bytes = 0
      return taken
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}
