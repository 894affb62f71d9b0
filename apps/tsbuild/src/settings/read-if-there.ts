import { readFile } from 'node:fs/promises'
import { UserError } from '@tsbuild/errors'

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
