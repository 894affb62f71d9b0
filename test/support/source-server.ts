import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request as it arrived, and what it was answered. */
export interface SourceRequest {
  readonly path: string
  readonly authorization: string | undefined
  readonly status: number
}

/** A loopback server of files, with ETags, and of bare repositories below `/git/`. */
export interface SourceServer {
  /** Without a slash at the end. */
  readonly url: string
  /** `127.0.0.1:<port>` */
  readonly host: string
  readonly requests: SourceRequest[]
  /** Puts a file there; its ETag is that of its bytes. */
  put(path: string, bytes: string | Buffer, options?: FileOptions): void
  stop(): Promise<void>
}

/** See {@link SourceServer.put}. */
export interface FileOptions {
  /** Unix seconds. */
  readonly lastModified?: number
  /** The Authorization header that it wants. */
  readonly authorization?: string
}

interface ServedFile extends FileOptions {
  readonly bytes: Buffer
}

/** @param repositories the folder with the bare repositories */
export async function startSourceServer(repositories: string): Promise<SourceServer> {
  const files = new Map<string, ServedFile>()
  const requests: SourceRequest[] = []
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace(/\?.*$/, '')
    const { authorization } = request.headers
    response.once('close', () => requests.push({ path, authorization, status: response.statusCode }))
    if (path.startsWith('/git/')) serveGit(repositories, request, response)
    else serveFile(files.get(path), request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `http://${host}`,
    host,
    requests,
    put: (path, bytes, options = {}) => void files.set(path, { ...options, bytes: Buffer.from(bytes) }),
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function serveFile(file: ServedFile | undefined, request: IncomingMessage, response: ServerResponse): void {
  if (file === undefined) {
    response.writeHead(404).end('nothing here')
    return
  }
  if (file.authorization !== undefined && request.headers.authorization !== file.authorization) {
    response.writeHead(401).end('who are you?')
    return
  }
  const etag = `"${file.bytes.toString('base64url').slice(0, 32)}${file.bytes.length}"`
  const headers: Record<string, string> = { etag, 'content-length': String(file.bytes.length) }
  if (file.lastModified !== undefined)
    headers['last-modified'] = new Date(file.lastModified * 1000).toUTCString()
  if (request.headers['if-none-match'] === etag) response.writeHead(304, { etag }).end()
  else response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : file.bytes)
}

/** Answers as a web server does that runs git's own CGI program. */
function serveGit(repositories: string, request: IncomingMessage, response: ServerResponse): void {
  const [path = '', query = ''] = (request.url ?? '').split('?')
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: repositories,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      PATH_INFO: path.slice('/git'.length),
      QUERY_STRING: query,
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.on('error', () => {})
  request.pipe(child.stdin)
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.on('close', () => {
    const answer = Buffer.concat(chunks)
    const end = answer.indexOf('\r\n\r\n')
    const headers = Object.fromEntries(
      answer
        .toString('latin1', 0, Math.max(0, end))
        .split('\r\n')
        .map((line) => line.split(/: (.*)/s, 2)),
    ) as Record<string, string>
    const { Status: status = '200', ...others } = headers
    response.writeHead(Number.parseInt(status, 10), others).end(answer.subarray(end + 4))
  })
}

/** A bare repository below a folder; gives its commits' ids. */
export interface TestRepository {
  /** Writes files, and removes none; gives the commit. */
  commit(files: Readonly<Record<string, string>>, timeSeconds?: number): string
  tag(name: string): void
}

/** Makes `<folder>/<name>.git`. Commits are made without a work tree, with `git fast-import`. */
export function createRepository(folder: string, name: string): TestRepository {
  const path = `${folder}/${name}.git`
  const git = (args: readonly string[], input?: string): string => {
    const env = { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' }
    const { status, stdout, stderr } = spawnSync('git', args, { env, encoding: 'utf8', input })
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`)
    return stdout.trim()
  }
  git(['init', '-q', '--bare', '-b', 'main', path])
  const inside = ['-C', path]
  return {
    commit(files, timeSeconds = 1_600_000_000) {
      const exists = spawnSync('git', [...inside, 'rev-parse', '-q', '--verify', 'main']).status === 0
      const data = (text: string) => `data ${Buffer.byteLength(text)}\n${text}\n`
      const changes = Object.entries(files).map(([file, text]) => `M 100644 inline ${file}\n${data(text)}`)
      const head = `commit refs/heads/main\ncommitter T <t@test> ${timeSeconds} +0000\n${data('change')}`
      const from = exists ? 'from refs/heads/main^0\n' : ''
      git([...inside, 'fast-import', '--quiet'], `${head}${from}${changes.join('')}\n`)
      return git([...inside, 'rev-parse', 'main'])
    },
    tag: (tagName) => void git([...inside, 'tag', tagName, 'main']),
  }
}
