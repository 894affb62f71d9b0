import { resolve } from 'node:path'
import { UserError } from '@tsbuild/errors'
import type { Host } from '../host.ts'
import { readIfThere } from './read-if-there.ts'

/** Where distributions keep the certificates that their programs trust, in the order they are looked for. */
const systemBundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
]

/**
 * Reads the certificates to trust: PEM texts, one for each file. The word `host` means what the host's own programs are
 * told to trust: the files of SSL_CERT_FILE and NODE_EXTRA_CA_CERTS, else the system's bundle.
 *
 * @param files paths, relative to the working directory, or `host`; doubles are read once
 * @throws {UserError} `ERR_CONFIG` if a file is not there or holds no certificate
 */
export async function readTrustCa(files: readonly string[], host: Host): Promise<readonly string[]> {
  const paths = new Set<string>()
  for (const file of files) {
    if (file !== 'host') paths.add(resolve(host.cwd, file))
    else for (const path of await hostBundles(host.env)) paths.add(path)
  }
  return await Promise.all([...paths].map(readCertificates))
}

async function hostBundles(env: Host['env']): Promise<readonly string[]> {
  const named = [env.SSL_CERT_FILE, env.NODE_EXTRA_CA_CERTS].filter(
    (path) => path !== undefined && path !== '',
  )
  if (named.length > 0) return named.filter((path) => path !== undefined)
  for (const path of systemBundles) {
    if ((await readIfThere(path)) !== undefined) return [path]
  }
  throw new UserError('ERR_CONFIG', 'Cannot trust the certificates of the host: none are found', {
    hints: [`Looked for ${systemBundles.join(', ')}; name a file with SSL_CERT_FILE.`],
  })
}

async function readCertificates(path: string): Promise<string> {
  const text = await readIfThere(path)
  if (text === undefined) {
    throw new UserError('ERR_CONFIG', `Cannot read certificates "${path}": there is no such file`)
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) {
    throw new UserError(
      'ERR_CONFIG',
      `Cannot trust certificates "${path}": expected PEM with at least one certificate`,
    )
  }
  return text
}
