import { createServer, type IncomingMessage } from 'node:http'

/** What a registry that misbehaves answers. */
export interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** A registry that answers whatever a test wants. */
export interface FakeRegistry {
  readonly host: string
  readonly stop: () => Promise<void>
}

/** Starts it on a loopback port. */
export async function startFakeRegistry(answer: (request: IncomingMessage) => Answer): Promise<FakeRegistry> {
  const server = createServer((request, response) => {
    const { status = 200, headers = {}, body = '' } = answer(request)
    response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the fake registry has no port')
  return {
    host: `127.0.0.1:${address.port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
