import { scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { UserError } from '@tsbuild/errors'
import type { SecretSource } from '../remote-source.ts'
import type { SourceUrl } from './source-url.ts'

const deriveKey = promisify<string, Buffer, number, Buffer>(scrypt)
const keyBytes = 32

/**
 * The `Authorization` of a source: the secrets `HTTP_AUTH_TOKEN_<host>` (a bearer token) and `HTTP_AUTH_HEADER_<host>` (the
 * whole value), else the user info of its URL. The host has no port. As with BuildKit the token wins over the header.
 *
 * @throws {UserError} `ERR_SECRET` if a secret cannot be a header's value
 */
export async function authorizationOf(source: SourceUrl, secrets: SecretSource): Promise<string | undefined> {
  for (const host of source.hosts) {
    const token = await readSecret(secrets, `HTTP_AUTH_TOKEN_${host}`)
    if (token !== undefined) return `Bearer ${token}`
  }
  for (const host of source.hosts) {
    const header = await readSecret(secrets, `HTTP_AUTH_HEADER_${host}`)
    if (header !== undefined) return header
  }
  if (source.userInfo === undefined) return undefined
  return `Basic ${Buffer.from(source.userInfo).toString('base64')}`
}

/** Secrets in files mostly end with a line break, which is none of theirs. */
async function readSecret(secrets: SecretSource, id: string): Promise<string | undefined> {
  const bytes = await secrets(id)
  if (bytes === undefined) return undefined
  const value = Buffer.from(bytes)
    .toString()
    .replace(/[\r\n]+$/, '')
  if (/^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/.test(value)) return value
  throw new UserError(
    'ERR_SECRET',
    `Cannot use secret ${JSON.stringify(id)}: it must be one line of ASCII text, without spaces around it`,
  )
}

/**
 * Tells later whether an `Authorization` is the one that something was fetched with. It is kept in the store, so it is slow
 * to try passwords against.
 */
export interface CredentialMark {
  /** 32 hex digits. */
  readonly salt: string
  /** 64 hex digits. */
  readonly key: string
}

/** Marks what was sent; undefined for nothing. */
export async function markCredential(
  authorization: string | undefined,
  salt: string,
): Promise<CredentialMark | undefined> {
  if (authorization === undefined) return undefined
  const key = await deriveKey(authorization, Buffer.from(salt, 'hex'), keyBytes)
  return { salt, key: key.toString('hex') }
}

/** Whether a mark, undefined for none, was made of an `Authorization`. */
export async function isMarkedBy(
  mark: CredentialMark | undefined,
  authorization: string | undefined,
): Promise<boolean> {
  if (mark === undefined || authorization === undefined) return mark === authorization
  const key = Buffer.from(mark.key, 'hex')
  const again = await deriveKey(authorization, Buffer.from(mark.salt, 'hex'), keyBytes)
  return key.length === keyBytes && timingSafeEqual(key, again)
}
