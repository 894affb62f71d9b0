import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import type { Host } from '../host.ts'

/** `$XDG_CONFIG_HOME`, else `~/.config`; undefined where neither is said. */
export function configFolder(env: Host['env']): string | undefined {
  return env.XDG_CONFIG_HOME || (env.HOME ? join(env.HOME, '.config') : undefined)
}

/**
 * Reads a text file of the user's configuration; undefined where there is none.
 *
 * @throws {UserError} `ERR_CONFIG` if it is there but cannot be read
 */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')) {
      return undefined
    }
    throw new UserError('ERR_CONFIG', `Cannot read file "${path}"`, { cause })
  }
}

/** What `read` gives, or `otherwise` where this user may not read: files of the machine may be for others. */
export async function unlessForbidden<T>(read: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await read()
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined
    if (cause instanceof Error && 'code' in cause && (cause.code === 'EACCES' || cause.code === 'EPERM')) {
      return otherwise
    }
    throw error
  }
}
