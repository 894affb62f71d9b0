import { statSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { splitCsv } from '../argv/csv.ts'
import type { Host } from '../host.ts'

/** A secret of more bytes is refused. */
const maxSecretBytes = 500 * 1024

/** Reads a secret. @throws {UserError} `ERR_SECRET` */
export type SecretReader = () => Promise<Uint8Array>

interface SecretSpec {
  readonly id: string
  readonly env: string | undefined
  readonly path: string | undefined
}

/**
 * Reads the values of `--secret`: `id=X`, with `src=PATH`, `env=NAME` or neither; then it is the variable `X`, or else the
 * file `X`. A file must be there; nothing is read before a secret is asked for. Of two with one id the later one counts.
 *
 * @throws {UserError} `ERR_USAGE` for a malformed value; `ERR_SECRET` for a file that is not there
 * @see spec/interface.md 4.1
 */
export function parseSecrets(
  given: readonly string[],
  { env, cwd }: Pick<Host, 'env' | 'cwd'>,
): Readonly<Record<string, SecretReader>> {
  return Object.fromEntries(
    given.map((text): [string, SecretReader] => {
      const { id, env: name, path } = parseSecret(text)
      const variable = name ?? (path === undefined && env[id] !== undefined ? id : undefined)
      if (variable !== undefined) return [id, async () => secretOf(id, variable, env[variable])]
      const file = resolve(cwd, path ?? id)
      if (statSync(file, { throwIfNoEntry: false }) === undefined)
        throw absent(
          id,
          path === undefined ? `there is no variable "${id}" and no "${file}"` : `there is no "${file}"`,
        )
      return [id, () => readSecretFile(id, file)]
    }),
  )
}

function parseSecret(text: string): SecretSpec {
  const fields = new Map<string, string>()
  for (const field of splitCsv(text)) {
    const equals = field.indexOf('=')
    const written = field.slice(0, Math.max(0, equals)).toLowerCase()
    const key = written === 'source' ? 'src' : written
    if (!['id', 'src', 'env', 'type'].includes(key))
      throw invalid(text, `expected id=…, src=…, env=… or type=…, found "${field}"`)
    if (fields.has(key)) throw invalid(text, `${key} is given twice`)
    fields.set(key, field.slice(equals + 1))
  }
  const id = fields.get('id') ?? ''
  if (id === '') throw invalid(text, 'it has no id')
  const type = fields.get('type')
  if (type !== undefined && type !== 'file' && type !== 'env') throw invalid(text, `"${type}" is no type`)
  const [src, env] = [nonEmpty(fields.get('src')), nonEmpty(fields.get('env'))]
  if (src !== undefined && env !== undefined) throw invalid(text, 'it has both src and env')
  if (type === 'file' && env !== undefined) throw invalid(text, 'a file has no env')
  if (type === 'env') return { id, env: env ?? src ?? id, path: undefined }
  return { id, env, path: src ?? (type === 'file' ? id : undefined) }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}

function invalid(text: string, why: string): UserError {
  return new UserError('ERR_USAGE', `Cannot use --secret "${text}": ${why}`, {
    hints: ['For example `--secret id=token,env=TOKEN` or `--secret id=token,src=token.txt`.'],
  })
}

function secretOf(id: string, variable: string, value: string | undefined): Uint8Array {
  if (value === undefined)
    throw new UserError('ERR_SECRET', `Cannot read the secret "${id}": the variable ${variable} is not set`)
  const bytes = Buffer.from(value, 'utf8')
  if (bytes.length > maxSecretBytes) throw tooLarge(id)
  return bytes
}

async function readSecretFile(id: string, path: string): Promise<Uint8Array> {
  try {
    const stats = await stat(path)
    if (!stats.isFile())
      throw new UserError('ERR_SECRET', `Cannot read the secret "${id}": "${path}" is no file`)
    if (stats.size > maxSecretBytes) throw tooLarge(id)
    return await readFile(path)
  } catch (cause) {
    if (cause instanceof UserError || !(cause instanceof Error) || !('code' in cause)) throw cause
    if (cause.code === 'ENOENT') throw absent(id, `there is no "${path}"`)
    throw new UserError('ERR_SECRET', `Cannot read the secret "${id}": ${cause.message}`, { cause })
  }
}

function absent(id: string, why: string): UserError {
  return new UserError('ERR_SECRET', `Cannot read the secret "${id}": ${why}`)
}

function tooLarge(id: string): UserError {
  return new UserError(
    'ERR_SECRET',
    `Cannot read the secret "${id}": it has more than ${maxSecretBytes} bytes`,
  )
}
