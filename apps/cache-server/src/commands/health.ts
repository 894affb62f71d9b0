import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { exitCodes, helpText, parseArguments } from '@tsbuild/command-line'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import { parseUrl } from '@tsbuild/shape'
import { Command } from 'commander'
import type { Host } from '../host.ts'
import { type Address, formatAddress } from '../settings/address.ts'
import type { Settings } from '../settings/read-settings.ts'
import { addSettingFlags, settingsOf } from '../settings/setting-flags.ts'

const timeoutMs = 4000

/** `cache-server health`: whether the server of these settings is ready; for health checks of containers, which have no curl. */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const command = healthCommand()
  parseArguments(command, argv)
  const settings = await settingsOf(command, host)
  const status = await ask(settings, command.opts<{ readonly url?: string }>().url)
  host.stdout.write(status === 200 ? 'ready\n' : `not ready: ${status}\n`)
  return status === 200 ? exitCodes.success : exitCodes.environment
}

/** The text of `cache-server health --help`. */
export function help(): string {
  return helpText(healthCommand())
}

function ask(settings: Settings, url: string | undefined): Promise<number> {
  const [address] = settings.listen
  if (address === undefined) throw new UserError('ERR_CONFIG', 'Cannot ask the server: it listens nowhere')
  const path = `${settings.basePath}/readyz`
  const where = url === undefined ? { ...reachable(address), path } : undefined
  const isSecure =
    url === undefined
      ? settings['tls.certificate'] !== undefined && address.kind === 'tcp'
      : url.startsWith('https:')
  const base = url === undefined ? undefined : parseUrl(`${url.replace(/\/+$/, '')}/readyz`)
  if (url !== undefined && base === undefined)
    throw new UserError('ERR_USAGE', `Cannot use value "${url}" of --url: expected a URL`)
  return new Promise((resolve, reject) => {
    const options = {
      timeout: timeoutMs,
      ...where,
      // Its own certificate, of another name than the loopback address.
      ...(url === undefined ? { rejectUnauthorized: false } : {}),
    }
    const send = isSecure ? secureRequest : request
    const asked = base === undefined ? send(options) : send(base, options)
    asked
      .on('response', (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
      .on('timeout', () => asked.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)))
      .on('error', (cause) =>
        reject(
          new EnvironmentError(
            'ERR_HTTP_UNREACHABLE',
            `Cannot ask the server at "${url ?? formatAddress(address)}": ${cause.message}`,
            { cause },
          ),
        ),
      )
      .end()
  })
}

/** A server on every address is asked on the loopback one. */
function reachable(
  address: Address,
): { readonly socketPath: string } | { readonly host: string; readonly port: number } {
  if (address.kind === 'unix') return { socketPath: address.path }
  const { host, port } = address
  return { host: host === '::' || host === '0.0.0.0' ? 'localhost' : host, port }
}

function healthCommand(): Command {
  const command = new Command('cache-server health')
    .usage('[--url URL]')
    .description(
      'Asks a running server whether it is ready; exit code 3 where it is not. Without --url, the one of these settings.',
    )
    .option('--url <url>', 'Of the server')
  return addSettingFlags(command, ['listen', 'basePath'])
}
