import { randomBytes } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { count, isRecord, listOf, objectOf, oneOf, parseJson, text } from '@tsbuild/shape'
import { makeDirectories } from '@tsbuild/store'

/** What is remembered of a server. */
export interface KnownServer {
  /** Public keys in base64: those that it had at the first contact. */
  readonly keys: readonly string[]
  /** Unix ms. */
  readonly since: number
}

/** By URL, without a `/` at the end. */
export type KnownServers = Readonly<Record<string, KnownServer>>

const fileShape = objectOf({ v: oneOf(1), servers: isRecord })
const serverShape = objectOf({ keys: listOf(text), since: count })

/**
 * Reads which servers were met before: `{"v": 1, "servers": {URL: {"keys": [base64], "since": ms}}}`.
 *
 * @returns nothing where there is no file
 * @throws {UserError} `ERR_CACHE_KEYS_FILE` for a file that is something else: whom it trusted is not known any more
 */
export async function readKnownServers(file: string): Promise<KnownServers> {
  const written = await readFile(file, 'utf8').catch((cause: unknown) => {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw unreadable(file, 'it cannot be opened', cause)
  })
  if (written === undefined) return {}
  const value = parseJson(written)
  if (!isRecord(value) || !fileShape(value))
    throw unreadable(file, 'it is not of the form that this version knows')
  const servers = value.servers as Record<string, unknown>
  if (!Object.values(servers).every(serverShape)) throw unreadable(file, 'an entry has another form')
  return servers as Record<string, KnownServer>
}

/** Adds a server, with all that the file has by then. Of two builds that add one at the same moment one may have to do so again. */
export async function rememberServer(file: string, url: string, server: KnownServer): Promise<void> {
  const servers = { ...(await readKnownServers(file)), [url]: server }
  const next = `${file}.${randomBytes(8).toString('hex')}`
  try {
    await makeDirectories(dirname(file), 0o700)
    await writeFile(next, `${JSON.stringify({ v: 1, servers }, undefined, 2)}\n`, { flag: 'wx', mode: 0o600 })
    await rename(next, file)
  } catch (cause) {
    await rm(next, { force: true })
    throw unreadable(file, 'it cannot be written', cause)
  }
}

function unreadable(file: string, why: string, cause?: unknown): UserError {
  return new UserError('ERR_CACHE_KEYS_FILE', `Cannot use the keys of known servers "${file}": ${why}`, {
    cause,
  })
}
