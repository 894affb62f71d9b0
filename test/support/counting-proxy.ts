import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A unix socket before another one, which counts. */
export interface CountingProxy {
  /** Bytes that clients have sent since the last call. */
  readonly take: () => number
  readonly stop: () => Promise<void>
}

/** A TCP port before another one. */
export interface CountingPort extends CountingProxy {
  /** `127.0.0.1:port`. */
  readonly host: string
}

/** Listens at `path` and passes everything on to `target`. */
export async function startCountingProxy(path: string, target: string): Promise<CountingProxy> {
  const { server, ...proxy } = countingServer(() => connect(target), false)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return proxy
}

/** Listens at a loopback port, passes everything on to `target` (`host:port`) and counts both ways. */
export async function startCountingPort(target: string): Promise<CountingPort> {
  const [host = '', port = ''] = target.split(':')
  const { server, ...proxy } = countingServer(() => connect(Number(port), host), true)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { ...proxy, host: `127.0.0.1:${(server.address() as AddressInfo).port}` }
}

function countingServer(
  upstreamOf: () => Socket,
  both: boolean,
): CountingProxy & { readonly server: Server } {
  let bytes = 0
  const count = (chunk: Buffer) => {
    bytes += chunk.length
  }
  const open = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = upstreamOf()
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        open.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', count)
    if (both) upstream.on('data', count)
    client.pipe(upstream)
    upstream.pipe(client)
  })
  return {
    server,
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
