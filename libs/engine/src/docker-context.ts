import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { didYouMean, UserError } from '@tsbuild/errors'
import { flag, objectOf, optional, parseJson, text } from '@tsbuild/shape'
import type { EngineTls } from './types.ts'

interface ContextFile {
  readonly Name: string
  readonly Endpoints: { readonly docker: { readonly Host: string; readonly SkipTLSVerify?: boolean } }
}

const contextShape = objectOf({
  Name: text,
  Endpoints: objectOf({ docker: objectOf({ Host: text, SkipTLSVerify: optional(flag) }) }),
})

/**
 * Reads where a context of the docker command leads to.
 *
 * @param folder `contexts` of docker's configuration directory
 * @throws {UserError} `ERR_ENGINE_CONTEXT` if there is none of this name, or it names no docker engine
 * @see https://github.com/docker/cli/blob/master/cli/context/store/doc.go
 */
export async function readDockerContext(
  folder: string,
  name: string,
): Promise<{ readonly host: string; readonly tls: EngineTls | undefined }> {
  const id = createHash('sha256').update(name).digest('hex')
  const path = join(folder, 'meta', id, 'meta.json')
  const written = await readIfThere(path)
  if (written === undefined) throw await noContext(folder, name)
  const context = parseContext(written)
  if (context?.Name !== name) {
    throw new UserError('ERR_ENGINE_CONTEXT', `Cannot use docker context "${name}": "${path}" describes none`)
  }
  const { Host: host, SkipTLSVerify: skip } = context.Endpoints.docker
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'cert.pem', 'key.pem'].map((file) => readIfThere(join(folder, 'tls', id, 'docker', file))),
  )
  const secured = skip === true || ca !== undefined || cert !== undefined
  return { host, tls: secured ? { ca, cert, key, verify: skip !== true } : undefined }
}

function parseContext(written: string): ContextFile | undefined {
  const value = parseJson(written)
  return contextShape(value) ? (value as ContextFile) : undefined
}

async function noContext(folder: string, name: string): Promise<UserError> {
  const ids = await readdir(join(folder, 'meta')).catch(() => [])
  const files = await Promise.all(ids.map((id) => readIfThere(join(folder, 'meta', id, 'meta.json'))))
  const names = files.flatMap((file) => (file === undefined ? [] : (parseContext(file)?.Name ?? [])))
  const hints = didYouMean(name, ['default', ...names])
  return new UserError('ERR_ENGINE_CONTEXT', `Cannot find docker context "${name}"`, {
    hints: hints.length > 0 ? hints : ['`docker context ls` lists them.'],
  })
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR'))
      return undefined
    throw new UserError('ERR_ENGINE_CONTEXT', `Cannot read "${path}" of a docker context`, { cause })
  }
}
