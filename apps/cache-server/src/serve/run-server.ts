import { durationText, isBuildError } from '@tsbuild/errors'
import type { Host, Signal } from '../host.ts'
import type { Log } from '../log/log.ts'
import type { Settings } from '../settings/read-settings.ts'
import { type Listeners, openListeners } from './listeners.ts'
import type { Service } from './open-service.ts'
import { type LoadedTls, loadTls } from './tls.ts'

const numbers = { SIGINT: 2, SIGTERM: 15 } as const
/** A certificate that ends sooner is a warning. */
const soonMs = 7 * 24 * 3_600_000

/** What a server runs on. */
export interface ServerParts {
  readonly settings: Settings
  readonly host: Host
  readonly log: Log
  readonly openService: () => Promise<Service>
}

/**
 * Runs the server until a signal ends it. SIGTERM and SIGINT: no more connections are taken, requests under way have
 * `shutdownTimeout` to end, and what is acknowledged is durable already. A second one ends the process at once. SIGHUP reads the
 * certificate and the keys again; where they cannot be read, those from before stay.
 *
 * @returns when everything is closed
 */
export async function runServer({ settings, host, log, openService }: ServerParts): Promise<void> {
  const tls = await loadOptional(settings)
  const service = await openService()
  try {
    const listeners = await openListeners(settings.listen, tls?.files, service.http)
    warnOfEnd(tls, host, log)
    log.info({ listen: listeners.urls, engine: settings.engine, dir: settings.dir, pid: host.pid }, 'ready')
    const signal = await untilEnd(host, log, () => reload(settings, service, listeners, host, log))
    service.startEnding()
    await drain(signal, settings.shutdownTimeout, listeners, log)
  } finally {
    await service.close()
  }
  log.info({}, 'ended')
}

async function loadOptional(settings: Settings): Promise<LoadedTls | undefined> {
  const { 'tls.certificate': certificate, 'tls.key': key } = settings
  return certificate === undefined || key === undefined ? undefined : await loadTls({ certificate, key })
}

function warnOfEnd(tls: LoadedTls | undefined, host: Host, log: Log): void {
  if (tls !== undefined && tls.expiresMs < host.now() + soonMs)
    log.warn(
      { certificate: tls.subject, expires: new Date(tls.expiresMs).toISOString() },
      'The certificate ends soon, or has ended',
    )
}

/** Resolves with the first signal that ends the server; from then on the next one leaves at once. */
function untilEnd(host: Host, log: Log, onReload: () => Promise<void>): Promise<Signal> {
  return new Promise((resolve) => {
    let ending = false
    let reloading = Promise.resolve()
    host.onSignal((signal) => {
      if (signal === 'SIGHUP') {
        reloading = reloading.then(onReload)
        return
      }
      if (ending) {
        log.warn({ signal }, 'Ended at once')
        log.flush()
        host.exitNow(128 + numbers[signal])
      }
      ending = true
      resolve(signal)
    })
  })
}

async function reload(
  settings: Settings,
  service: Service,
  listeners: Listeners,
  host: Host,
  log: Log,
): Promise<void> {
  try {
    const tls = await loadOptional(settings)
    if (tls !== undefined) listeners.replaceTls(tls.files)
    await service.reload()
    warnOfEnd(tls, host, log)
    log.info({ certificate: tls?.subject }, 'Keys and certificates were read again')
  } catch (error) {
    // Whatever it is: nobody waits for a reload, and a server that runs goes on.
    const code = isBuildError(error) ? error.code : undefined
    const reason = error instanceof Error ? error.message : String(error)
    log.error({ code, reason }, 'Keys and certificates stay as they were')
  }
  log.flush()
}

async function drain(signal: Signal, timeoutMs: number, listeners: Listeners, log: Log): Promise<void> {
  log.info({ signal, requests: listeners.inFlight() }, `Ending within ${durationText(timeoutMs)}`)
  log.flush()
  const timer = setTimeout(
    () => log.warn({ requests: listeners.inFlight() }, 'Requests are cut off'),
    timeoutMs,
  )
  await listeners.close(timeoutMs)
  clearTimeout(timer)
}
