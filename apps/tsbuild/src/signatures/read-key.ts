import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { KeyText } from '@tsbuild/builder'
import { UserError } from '@tsbuild/errors'
import type { Host } from '../host.ts'
import { askPassword } from './ask-password.ts'

/**
 * Reads what `--key` names: a file, or `env://NAME` for a variable that holds the text.
 *
 * @throws {UserError} `ERR_SIGNATURE_KEY` if it cannot be read, `ERR_UNSUPPORTED` for keys in services
 */
export async function readKey(key: string, host: Host): Promise<KeyText> {
  const scheme = /^([a-z0-9]+):\/\/(.*)$/.exec(key)
  const [, service, rest = ''] = scheme ?? []
  if (service !== undefined && service !== 'env')
    throw new UserError('ERR_UNSUPPORTED', `Cannot use key "${key}": keys in services are not supported`, {
      hints: ['Name a file, or a variable with `env://NAME`.'],
    })
  const pem = service === 'env' ? host.env[rest] : await readText(key, host)
  if (pem === undefined) throw new UserError('ERR_SIGNATURE_KEY', `Cannot read key "${key}": it is not set`)
  return { pem, name: key, password: () => askPassword(`Password of ${key}: `, host) }
}

async function readText(path: string, { cwd }: Host): Promise<string> {
  try {
    return await readFile(resolve(cwd, path), 'utf8')
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
    const state = missing ? 'there is no such file' : 'the file cannot be read'
    const hints = missing ? ['`tsbuild generate-key-pair` makes a pair.'] : []
    throw new UserError('ERR_SIGNATURE_KEY', `Cannot read key "${path}": ${state}`, { cause, hints })
  }
}
