import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { UserError } from '@tsbuild/errors'
import { type Address, formatAddress, isLoopback } from './address.ts'
import type { Settings } from './read-settings.ts'

/**
 * Checks what settings say together; each by itself is checked already.
 *
 * @returns what is allowed and likely not meant
 * @throws {UserError} `ERR_CONFIG` for what makes no sense or would leave the server open to everybody
 */
export async function checkSettings(settings: Settings): Promise<readonly string[]> {
  if (settings.dir === undefined)
    throw refused('there is no directory', [
      'Say `--dir DIR`, `dir` in the configuration, or TSBUILD_CACHE_SERVER_DIR.',
    ])
  if ((settings['tls.certificate'] === undefined) !== (settings['tls.key'] === undefined))
    throw refused('a certificate needs its key, and a key its certificate', [
      'Set both `tls.certificate` and `tls.key`.',
    ])
  if (settings.engine === 'oci' && settings['oci.repository'] === undefined)
    throw refused('engine "oci" needs a repository', ['Set `oci.repository` to `HOST/NAME`.'])
  if (settings.engine === 'fs' && settings['oci.repository'] !== undefined)
    throw refused('`oci.repository` is for engine "oci", and the engine is "fs"', ['Set `engine = "oci"`.'])
  if ((settings['oci.username'] === undefined) !== (settings['oci.password'] === undefined))
    throw refused('a user needs a password, and a password its user', [
      'Set `oci.username`, and the password as TSBUILD_CACHE_SERVER_OCI_PASSWORD.',
    ])
  if (settings.listen.length === 0) throw refused('there is no address to listen on')
  return await checkExposure(settings)
}

/** Whether only this machine can ask; then everybody may do everything unless `auth` says otherwise. */
export async function isPrivate(addresses: readonly Address[]): Promise<boolean> {
  const each = await Promise.all(addresses.map(isPrivateAddress))
  return each.every(Boolean)
}

async function isPrivateAddress(address: Address): Promise<boolean> {
  if (address.kind === 'unix') return true
  if (isIP(address.host) !== 0) return isLoopback(address.host)
  const found = await lookup(address.host, { all: true }).catch(() => [])
  return found.length > 0 && found.every((each) => isLoopback(each.address))
}

async function checkExposure(settings: Settings): Promise<readonly string[]> {
  const isOpen = settings.auth !== 'tokens'
  const isLocal = await isPrivate(settings.listen)
  const where = settings.listen.map(formatAddress).join(', ')
  if (isOpen && !isLocal && settings.insecure !== true) {
    const state =
      settings.auth === undefined
        ? `other machines reach ${where}, and nothing says who may do what`
        : `other machines reach ${where}, and with \`auth = "none"\` each of them may do everything`
    throw refused(state, [
      'Say `--auth tokens`, and make tokens with `cache-server token create`.',
      'Or listen on 127.0.0.1 alone, which is the default.',
      '`--insecure` lets everybody who reaches the address read and write the whole cache.',
    ])
  }
  const warnings: string[] = []
  if (isOpen && !isLocal) warnings.push(`Everybody who reaches ${where} may read and write the whole cache`)
  if (!isOpen && !isLocal && settings['tls.certificate'] === undefined && !isBehindTls(settings))
    warnings.push(
      'Tokens go over the network as they are: set `tls.certificate` and `tls.key`, or `publicUrl` where a proxy speaks TLS',
    )
  if (isOpen && settings.publicRead === true)
    warnings.push('`publicRead` changes nothing while everybody may do everything')
  return warnings
}

const isBehindTls = ({ publicUrl }: Settings): boolean => publicUrl?.startsWith('https:') === true

function refused(state: string, hints: readonly string[] = []): UserError {
  return new UserError('ERR_CONFIG', `Cannot run the server as it is set up: ${state}`, { hints })
}
