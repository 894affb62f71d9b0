import { lstat, rm } from 'node:fs/promises'
import { createServer as createHttp, type Server } from 'node:http'
import { createServer as createHttps, type Server as HttpsServer } from 'node:https'
import { connect } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import { EnvironmentError } from '@tsbuild/errors'
import { type Address, formatAddress } from '../settings/address.ts'

/** The sockets that a server listens on. */
export interface Listeners {
  /** As clients reach them: `http://127.0.0.1:7070`, `unix:/run/cache.sock`. */
  readonly urls: readonly string[]
  /** Shows another certificate to who connects from now on. */
  setTls(context: SecureContextOptions): void
  /** Takes no more connections; those which wait for a request are closed. Resolves when all have ended. */
  end(): Promise<void>
  /** Closes what is left. */
  closeNow(): void
}

/** What is done with each server before it listens. */
export type Attach = (server: Server | HttpsServer) => void

/**
 * Listens on every address, with TLS where a certificate is given: a unix socket needs none.
 *
 * @throws {EnvironmentError} `ERR_LISTEN` if an address cannot be had; nothing listens then
 */
export async function openListeners(
  addresses: readonly Address[],
  tls: SecureContextOptions | undefined,
  attach: Attach,
): Promise<Listeners> {
  const servers: { readonly server: Server | HttpsServer; readonly url: string }[] = []
  try {
    for (const address of addresses) {
      const secure = tls !== undefined && address.kind === 'tcp'
      const server = secure ? createHttps(tls) : createHttp()
      attach(server)
      servers.push({ server, url: await listen(server, address, secure) })
    }
  } catch (error) {
    for (const { server } of servers) server.close()
    throw error
  }
  return {
    urls: servers.map(({ url }) => url),
    setTls(context) {
      for (const { server } of servers) if ('setSecureContext' in server) server.setSecureContext(context)
    },
    async end() {
      await Promise.all(
        servers.map(
          ({ server }) =>
            new Promise<void>((resolve) => {
              server.close(() => resolve())
              server.closeIdleConnections()
            }),
        ),
      )
    },
    closeNow() {
      for (const { server } of servers) server.closeAllConnections()
    },
  }
}

async function listen(server: Server | HttpsServer, address: Address, secure: boolean): Promise<string> {
  if (address.kind === 'unix') await removeStale(address.path)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(cannotListen(address, cause)))
    // Whoever may connect is said by the folder of a socket and its mode: the group may.
    const where =
      address.kind === 'unix'
        ? { path: address.path }
        : // `::` takes IPv4, too, unless it was asked for alone.
          { host: address.host, port: address.port }
    server.listen(where, resolve)
  })
  const bound = server.address()
  if (address.kind === 'unix' || bound === null || typeof bound === 'string') return formatAddress(address)
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

function cannotListen(address: Address, cause: NodeJS.ErrnoException): EnvironmentError {
  const text = formatAddress(address)
  const [state, hints] =
    cause.code === 'EADDRINUSE'
      ? ['another program listens there', ['Choose another address with `--listen`.']]
      : cause.code === 'EACCES'
        ? ['the operating system does not permit it', ['Ports below 1024 need CAP_NET_BIND_SERVICE.']]
        : [cause.message, []]
  return new EnvironmentError('ERR_LISTEN', `Cannot listen on "${text}": ${state}`, { cause, hints })
}
