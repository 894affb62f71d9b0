import { statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
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
 * file `X`. A file must be there; nothing is read before a secret is asked for.
 *
 * @throws {UserError} `ERR_USAGE` for a malformed value, and for two of one id; `ERR_SECRET` for a file that is not there
 * @see spec/interface.md 4.1
 */
export function parseSecrets(
  given: readonly string[],
  { env, cwd }: Pick<Host, 'env' | 'cwd'>,
): Readonly<Record<string, SecretReader>> {
  const readers = new Map<string, SecretReader>()
  for (const text of given) {
    const spec = parseSecret(text)
    if (readers.has(spec.id)) throw invalid(text, `the secret "${spec.id}" is given twice`)
    readers.set(spec.id, readerOf(spec, { env, cwd }))
  }
  return Object.fromEntries(readers)
}

function readerOf(
  { id, env: name, path }: SecretSpec,
  { env, cwd }: Pick<Host, 'env' | 'cwd'>,
): SecretReader {
  const variable = name ?? (path === undefined && env[id] !== undefined ? id : undefined)
  if (variable !== undefined) return async () => secretOf(id, variable, env[variable])
  const file = resolve(cwd, path ?? id)
  if (statSync(file, { throwIfNoEntry: false }) === undefined)
    throw absent(
      id,
      path === undefined ? `there is no variable "${id}" and no "${file}"` : `there is no "${file}"`,
    )
  return () => readSecretFile(id, file)
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

/** A pipe counts as a file: `src=<(command)`. */
async function readSecretFile(id: string, path: string): Promise<Uint8Array> {
  try {
    const file = await open(path)
    try {
      const stats = await file.stat()
      if (!stats.isFile() && !stats.isFIFO())
        throw new UserError('ERR_SECRET', `Cannot read the secret "${id}": "${path}" is no file`)
      return await readAll(id, file)
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (cause instanceof UserError || !(cause instanceof Error) || !('code' in cause)) throw cause
    if (cause.code === 'ENOENT') throw absent(id, `there is no "${path}"`)
    throw new UserError('ERR_SECRET', `Cannot read the secret "${id}": ${cause.message}`, { cause })
  }
}

/** Reads no more than the limit and one byte, whatever the size was said to be. */
async function readAll(id: string, file: FileHandle): Promise<Uint8Array> {
  const bytes = Buffer.alloc(maxSecretBytes + 1)
  let length = 0
  for (;;) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, null)
    length += bytesRead
    if (length > maxSecretBytes) throw tooLarge(id)
    if (bytesRead === 0) return bytes.subarray(0, length)
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
