import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * Below those that the kernel gives to connections, 32768 to 60999: a client would now and then get the port of a server that is
 * about to start, or to start again.
 */
const [lowest, highest] = [20_000, 32_767]

/** A TCP port of the loopback address that nothing listened on a moment ago. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(lowest, highest + 1)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    )
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
