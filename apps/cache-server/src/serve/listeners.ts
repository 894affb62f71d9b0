import { lstat, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { EnvironmentError } from '@tsbuild/errors'
import {
  createHttpServer,
  type HttpServer,
  type HttpServerOptions,
  type TlsFiles,
} from '@tsbuild/http-server'
import { type Address, formatAddress } from '../settings/address.ts'

/** The sockets that a server listens on. */
export interface Listeners {
  /** As clients reach them: `http://127.0.0.1:7070`, `unix:/run/cache.sock`. */
  readonly urls: readonly string[]
  /** Shows another certificate to who connects from now on. */
  replaceTls(files: TlsFiles): void
  /** Requests at this moment. */
  inFlight(): number
  /** Takes no more connections, and resolves when all have ended; after `graceMs` they are ended. */
  close(graceMs: number): Promise<void>
}

/**
 * Listens on every address, with TLS where a certificate is given: a unix socket needs none.
 *
 * @throws {EnvironmentError} `ERR_LISTEN` if an address cannot be had; nothing listens then
 */
export async function openListeners(
  addresses: readonly Address[],
  tls: TlsFiles | undefined,
  options: Omit<HttpServerOptions, 'tls'>,
): Promise<Listeners> {
  const servers: HttpServer[] = []
  const urls: string[] = []
  const close = async (graceMs: number): Promise<void> => {
    await Promise.all(servers.map((server) => server.close(graceMs)))
  }
  try {
    for (const address of addresses) {
      const secure = address.kind === 'tcp' ? tls : undefined
      const server = createHttpServer({ ...options, tls: secure })
      urls.push(await listen(server, address, secure !== undefined))
      servers.push(server)
    }
  } catch (error) {
    await close(0)
    throw error
  }
  return {
    urls,
    replaceTls: (files) => {
      for (const server of servers) server.replaceTls(files)
    },
    inFlight: () => servers.reduce((sum, server) => sum + server.load().inFlight, 0),
    close,
  }
}

async function listen(server: HttpServer, address: Address, secure: boolean): Promise<string> {
  if (address.kind === 'unix') await removeStale(address.path)
  // `::` takes IPv4, too.
  const where = address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port }
  let bound: Awaited<ReturnType<HttpServer['listen']>>
  try {
    bound = await server.listen(where)
  } catch (cause) {
    throw cannotListen(address, cause)
  }
  if (address.kind === 'unix' || typeof bound === 'string') return formatAddress(address)
  const host = formatAddress({ kind: 'tcp', host: bound.address, port: bound.port })
  return `${secure ? 'https' : 'http'}://${host}`
}

/** A socket that nobody answers on was left by a process that was killed. */
async function removeStale(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined)
  if (there === undefined || !there.isSocket()) return
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (!answered) await rm(path, { force: true })
}

function cannotListen(address: Address, cause: unknown): EnvironmentError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const reason = cause instanceof Error ? cause.message : String(cause)
  const [state, hints] =
    code === 'EADDRINUSE'
      ? ['another program listens there', ['Choose another address with `--listen`.']]
      : code === 'EACCES'
        ? ['the operating system does not permit it', ['Ports below 1024 need CAP_NET_BIND_SERVICE.']]
        : [reason, []]
  return new EnvironmentError('ERR_LISTEN', `Cannot listen on "${formatAddress(address)}": ${state}`, {
    cause,
    hints,
  })
}
