import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { UserError } from '@tsbuild/errors'
import type { TlsFiles } from '@tsbuild/http-server'

/** Where the certificate and its key are. */
export interface TlsPaths {
  readonly certificate: string
  readonly key: string
}

/** A certificate that was read and fits its key. */
export interface LoadedTls {
  readonly files: TlsFiles
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
export async function loadTls(paths: TlsPaths): Promise<LoadedTls> {
  const [cert, key] = await Promise.all([read('certificate', paths.certificate), read('key', paths.key)])
  try {
    createSecureContext({ cert, key })
    const certificate = new X509Certificate(cert)
    return {
      files: { cert, key },
      subject: (certificate.subjectAltName ?? certificate.subject).replaceAll('\n', ', '),
      expiresMs: Date.parse(certificate.validTo),
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UserError(
      'ERR_CONFIG',
      `Cannot use certificate "${paths.certificate}" and key "${paths.key}": ${reason}`,
    )
  }
}

async function read(what: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UserError('ERR_CONFIG', `Cannot read ${what} "${path}": ${reason}`, { cause })
  }
}
