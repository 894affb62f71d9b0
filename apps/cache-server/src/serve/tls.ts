import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { UserError } from '@tsbuild/errors'

/** Where the certificate and its key are. */
export interface TlsFiles {
  readonly certificate: string
  readonly key: string
}

/** A certificate that was read and fits its key. */
export interface LoadedTls {
  readonly context: SecureContextOptions
  /** For the log. */
  readonly subject: string
  /** Unix ms. */
  readonly expiresMs: number
}

/**
 * Reads certificate and key, and tries them.
 *
 * @throws {UserError} `ERR_CONFIG` if one cannot be read, is no PEM, or they do not belong together
 */
export async function loadTls(files: TlsFiles): Promise<LoadedTls> {
  const [cert, key] = await Promise.all([read('certificate', files.certificate), read('key', files.key)])
  const context: SecureContextOptions = { cert, key, minVersion: 'TLSv1.2' }
  try {
    createSecureContext(context)
    const certificate = new X509Certificate(cert)
    return {
      context,
      subject: (certificate.subjectAltName ?? certificate.subject).replaceAll('\n', ', '),
      expiresMs: Date.parse(certificate.validTo),
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UserError(
      'ERR_CONFIG',
      `Cannot use certificate "${files.certificate}" and key "${files.key}": ${reason}`,
    )
  }
}

async function read(what: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UserError('ERR_CONFIG', `Cannot read ${what} "${path}": ${reason}`, { cause })
  }
}
