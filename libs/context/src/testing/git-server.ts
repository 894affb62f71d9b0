import { spawn } from 'node:child_process'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { onTestFinished } from 'vitest'

/** What a server was asked. */
export interface SeenRequest {
  readonly url: string
  readonly authorization: string | undefined
  /** What a client of protocol 2 wants; undefined for the greeting. */
  readonly command: 'ls-refs' | 'fetch' | undefined
  /** The lines of the request, as they are sent. */
  readonly body: string
}

/** A server of repositories on loopback, until the test ends. */
export interface GitServer {
  /** `http://127.0.0.1:<port>` */
  readonly origin: string
  readonly requests: readonly SeenRequest[]
  /** How many fetches it was asked for. */
  fetches(): number
}

/** How a server behaves. */
export interface GitServerOptions {
  /** Answers instead of git where it gives true. */
  readonly intercept?: (request: SeenRequest, response: ServerResponse) => boolean | Promise<boolean>
  /** Speaks the old protocol, which hands out only what its refs point to. */
  readonly oldProtocol?: boolean
}

/** Serves the repositories of a directory with `git http-backend`. */
export async function serveRepositories(root: string, options: GitServerOptions = {}): Promise<GitServer> {
  const requests: SeenRequest[] = []
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const raw = Buffer.concat(chunks)
    const body = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw).toString('latin1')
    const command = /command=(ls-refs|fetch)/.exec(body)?.[1] as SeenRequest['command']
    const isOldFetch = body.includes('want ') ? 'fetch' : undefined
    const seen: SeenRequest = {
      url: request.url ?? '',
      authorization: request.headers.authorization,
      command: command ?? isOldFetch,
      body,
    }
    requests.push(seen)
    if (await options.intercept?.(seen, response)) return
    const protocol = options.oldProtocol ? '' : (request.headers['git-protocol']?.toString() ?? '')
    await runBackend(root, request, Buffer.from(body, 'latin1'), response, protocol)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    fetches: () => requests.filter(({ command }) => command === 'fetch').length,
  }
}

async function runBackend(
  root: string,
  request: IncomingMessage,
  body: Buffer,
  response: ServerResponse,
  protocol: string,
): Promise<void> {
  const [path = '', query = ''] = (request.url ?? '').split('?')
  const child = spawn('git', ['http-backend'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_PROTOCOL: protocol,
      PATH_INFO: path,
      QUERY_STRING: query,
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      CONTENT_LENGTH: String(body.length),
      REMOTE_ADDR: '127.0.0.1',
    },
  })
  child.stdin.on('error', () => {})
  child.stdin.end(body)
  const chunks: Buffer[] = []
  for await (const chunk of child.stdout) chunks.push(chunk)
  const output = Buffer.concat(chunks)
  const end = output.indexOf('\r\n\r\n')
  const headers = output.subarray(0, end).toString().split('\r\n')
  for (const header of headers) {
    const [name = '', value = ''] = header.split(': ')
    if (name === 'Status') response.statusCode = Number.parseInt(value, 10)
    else response.setHeader(name, value)
  }
  response.end(output.subarray(end + 4))
}
