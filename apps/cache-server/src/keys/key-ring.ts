import { randomBytes } from 'node:crypto'
import { link, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import { makeDirectories } from '@tsbuild/store'
import { formatSigningKey, parseSigningKey, type SigningKey, signingKeyOf } from '@tsbuild/trust'

/** The server's own keys: they sign tokens and records. */
export interface KeyRing {
  /** Newest first: the first signs, each is believed. */
  readonly keys: readonly [SigningKey, ...SigningKey[]]
  /** There was no key before. */
  readonly isNew: boolean
}

const keyName = /^(\d{6})\.pem$/

/**
 * Opens the keys in `<dir>/keys`, one PEM file each, numbered; makes the first where there is none. Any number of processes may do so
 * at once: exactly one makes it.
 *
 * @throws {UserError} `ERR_CACHE_KEY` for a file that is no key, or that others may read
 * @throws {EnvironmentError} `ERR_STORE_OPEN` if the directory cannot be read or made
 */
export async function openKeyRing(dir: string): Promise<KeyRing> {
  const found = await readKeys(dir)
  if (isSome(found)) return { keys: found, isNew: false }
  const isNew = await addKey(dir, 1)
  const made = await readKeys(dir)
  if (!isSome(made))
    throw new EnvironmentError('ERR_STORE_OPEN', `Cannot keep a key in "${dir}": it is gone again`)
  return { keys: made, isNew }
}

/** Makes a new key, which signs from now on; those before are believed until they are removed. */
export async function rotateKeys(dir: string): Promise<KeyRing> {
  await openKeyRing(dir)
  for (;;) {
    const next = ((await numbersIn(dir))[0] ?? 0) + 1
    if (await addKey(dir, next)) return await openKeyRing(dir)
  }
}

/**
 * Removes a key: what it signed is believed no more.
 *
 * @throws {UserError} `ERR_CACHE_KEY` if there is no such key, or it is the one that signs
 */
export async function removeKey(dir: string, id: string): Promise<void> {
  const { keys } = await openKeyRing(dir)
  const numbers = await numbersIn(dir)
  const index = keys.findIndex((key) => key.id === id)
  const number = numbers[index]
  if (number === undefined)
    throw new UserError('ERR_CACHE_KEY', `Cannot remove key "${id}": there is no such key`)
  if (index === 0)
    throw new UserError('ERR_CACHE_KEY', `Cannot remove key "${id}": it is the one that signs`, {
      hints: ['Make another one first: `cache-server keys rotate`.'],
    })
  await rm(pathOf(dir, number), { force: true })
}

const isSome = (keys: readonly SigningKey[]): keys is readonly [SigningKey, ...SigningKey[]] =>
  keys.length > 0
const folderOf = (dir: string): string => join(dir, 'keys')
const pathOf = (dir: string, number: number): string =>
  join(folderOf(dir), `${String(number).padStart(6, '0')}.pem`)

async function numbersIn(dir: string): Promise<readonly number[]> {
  const names = await readdir(folderOf(dir)).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return []
    throw cannotOpen(dir, cause)
  })
  return names.flatMap((name) => Number(keyName.exec(name)?.[1] ?? []) || []).sort((a, b) => b - a)
}

async function readKeys(dir: string): Promise<readonly SigningKey[]> {
  const numbers = await numbersIn(dir)
  return await Promise.all(numbers.map((number) => readKey(pathOf(dir, number))))
}

async function readKey(path: string): Promise<SigningKey> {
  const { mode } = await stat(path)
  if ((mode & 0o077) !== 0)
    throw new UserError('ERR_CACHE_KEY', `Cannot use key "${path}": others may read it`, {
      hints: [
        `Run \`chmod 600 ${path}\`; where it was read, make another one: \`cache-server keys rotate\`.`,
      ],
    })
  return parseSigningKey(await readFile(path, 'utf8'), path)
}

/** @returns false where there is a key of this number already */
async function addKey(dir: string, number: number): Promise<boolean> {
  const folder = folderOf(dir)
  const draft = join(folder, `.${randomBytes(8).toString('hex')}`)
  try {
    await makeDirectories(folder, 0o700)
    await writeDurably(draft, formatSigningKey(signingKeyOf(randomBytes(32))))
    // Never replaces, unlike rename.
    await link(draft, pathOf(dir, number))
    await syncFolder(folder)
    return true
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return false
    throw cannotOpen(dir, cause)
  } finally {
    await rm(draft, { force: true })
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function cannotOpen(dir: string, cause: unknown): EnvironmentError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new EnvironmentError('ERR_STORE_OPEN', `Cannot keep keys in "${dir}": ${reason}`, { cause })
}
