import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from './capabilities.ts'
import { freePort } from './free-port.ts'
import type { Authority } from './https-site.ts'
import { stopProcess } from './registry-process.ts'

/** How nginx stands before a server. */
export interface FrontOptions {
  /** `host:port` of the server, in plain HTTP. */
  readonly upstream: string
  /** Whose server certificate it shows. */
  readonly authority: Authority
  /** Whether bodies are kept until they are whole before they are handed on, in both directions. */
  readonly buffering: 'on' | 'off'
  /** `client_max_body_size`: for example `0` for any, `1m` is nginx's default. */
  readonly maxBodySize: string
}

/** A running nginx. */
export interface Front {
  /** `127.0.0.1:port`, HTTPS. */
  readonly host: string
  /** The requests so far, as `METHOD path status bytes-received`. */
  readonly requests: () => readonly string[]
  /** Ends it at once, with every connection, and starts it anew on the same port. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** Starts nginx with TLS on a loopback port, with its files in `folder`; resolves when it answers. */
export async function startNginx(folder: string, options: FrontOptions): Promise<Front> {
  const host = `127.0.0.1:${await freePort()}`
  return await startNginxWith(folder, host, server(host, options))
}

/** Starts nginx with what stands in its section `http`, which listens on `host`. */
export async function startNginxWith(folder: string, host: string, http: string): Promise<Front> {
  const program = findProgram('nginx')
  if (program === undefined) throw new Error('nginx is not installed: scripts/setup.sh test installs it')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, configuration(folder, http))
  let log = ''
  const begin = async () => {
    const child = spawn(program, ['-c', file, '-p', folder, '-e', 'stderr'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        log += text
      })
    }
    await listens(host, child, () => log)
    return child
  }
  let child = await begin()
  return {
    host,
    requests: () =>
      readFileSync(join(folder, 'access.log'), 'utf8')
        .split('\n')
        .filter((line) => line !== ''),
    restart: async () => {
      await stopProcess(child)
      child = await begin()
    },
    stop: () => stopProcess(child),
  }
}

/** In the foreground, with one worker; every file that it writes is in its folder. */
function configuration(folder: string, http: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
daemon off;
worker_processes 1;
user root;
pid ${join(folder, 'nginx.pid')};
events { worker_connections 256; }
http {
  ${temporary.map((name) => `${name}_temp_path ${join(folder, name)};`).join('\n  ')}
  log_format line '$request_method $request_uri $status $request_length';
  access_log ${join(folder, 'access.log')} line;
  ${http}
}
`
}

function server(host: string, options: FrontOptions): string {
  const { authority, buffering } = options
  return `
  server {
    listen ${host} ssl;
    ssl_certificate ${join(authority.folder, 'server.pem')};
    ssl_certificate_key ${join(authority.folder, 'server.key')};
    client_max_body_size ${options.maxBodySize};
    location / {
      proxy_pass http://${options.upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_request_buffering ${buffering};
      proxy_buffering ${buffering};
    }
  }
`
}

async function listens(host: string, child: ChildProcess, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`nginx ended with exit code ${child.exitCode}\n${log()}`)
    // Spoken to in plain HTTP, it says so; whatever is behind it need not be there.
    const response = await fetch(`http://${host}/`).catch(() => undefined)
    await response?.arrayBuffer()
    if (response !== undefined) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`nginx does not answer\n${log()}`)
}
