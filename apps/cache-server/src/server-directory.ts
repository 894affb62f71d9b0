import { readdir, stat } from 'node:fs/promises'
import { EnvironmentError } from '@tsbuild/errors'
import { errnoOf, makeDirectories } from '@tsbuild/store'

/** What a server makes in its directory. */
const own = new Set(['objects', 'keys', 'local'])
const hints = ['Name a new or empty directory of the user that the server runs as.']

/**
 * Makes the directory of a server, or finds that it is one. Files may lie in a new one: a configuration, a certificate.
 *
 * @throws {EnvironmentError} `ERR_STORE_OPEN` if it cannot be made or read, or holds directories and none of a server's
 */
export async function openServerDirectory(dir: string): Promise<void> {
  const entries = await makeAndRead(dir)
  if (entries.some(({ name }) => own.has(name))) return
  const foreign = entries.find((entry) => entry.isDirectory() && entry.name !== 'lost+found')
  if (foreign === undefined) return
  const state = `it holds something else (${JSON.stringify(foreign.name)})`
  throw new EnvironmentError('ERR_STORE_OPEN', `Cannot use directory "${dir}": ${state}`, { hints })
}

/** For commands about a cache that is there. @throws {EnvironmentError} `ERR_STORE_OPEN` where there is no such directory */
export async function assertServerDirectory(dir: string): Promise<void> {
  if ((await stat(dir).catch(() => undefined))?.isDirectory() === true) return
  throw new EnvironmentError(
    'ERR_STORE_OPEN',
    `Cannot open the cache in "${dir}": there is no such directory`,
  )
}

async function makeAndRead(dir: string) {
  try {
    await makeDirectories(dir, 0o700)
    return await readdir(dir, { withFileTypes: true })
  } catch (cause) {
    throw new EnvironmentError('ERR_STORE_OPEN', `Cannot make directory "${dir}": ${stateOf(cause)}`, {
      cause,
      hints,
    })
  }
}

function stateOf(cause: unknown): string {
  switch (errnoOf(cause)) {
    case 'EEXIST':
    case 'ENOTDIR':
      return 'a part of the path is no directory'
    case 'ENOENT':
      return 'the file system takes none there'
    default:
      return cause instanceof Error ? cause.message : String(cause)
  }
}
