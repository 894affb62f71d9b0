import { isUtf8 } from 'node:buffer'
import { UserError } from '@tsbuild/errors'
import type { ExecMount } from '@tsbuild/graph'
import type { Mount } from '@tsbuild/native'
import type { OpsOptions } from './types.ts'

/** A secret of more bytes is refused. @see spec/dockerfile.md 2.1 */
const maxSecretBytes = 500 * 1024

/** What execve(2) takes of one variable, with its name, `=` and the NUL byte at its end. */
const maxVariableBytes = 128 * 1024

/** The kind of {@link ExecMount} that {@link readSecrets} reads. */
export type SecretMount = Extract<ExecMount, { kind: 'secret' }>

/** What a step was given of its secrets. */
export interface StepSecrets {
  /** By id; one that was not given is not in it. */
  readonly values: ReadonlyMap<string, Uint8Array>
  /** `NAME=value` of those that are variables, in order. */
  readonly env: readonly string[]
}

/**
 * Reads the secrets of a step, each once. A secret that is neither given nor required leaves no file, and leaves a variable
 * of its name as it is: BuildKit makes the variable empty (spec/cache.md 8.1).
 *
 * @throws {UserError} `ERR_SECRET` for one that is required and not given, too large, or no value of a variable
 */
export async function readSecrets(
  mounts: readonly ExecMount[],
  options: Pick<OpsOptions, 'secrets'>,
): Promise<StepSecrets> {
  const values = new Map<string, Uint8Array>()
  const env: string[] = []
  const asked = new Set<string>()
  for (const mount of mounts) {
    if (mount.kind !== 'secret') continue
    const { id } = mount
    const value = asked.has(id) ? values.get(id) : await options.secrets(id)
    asked.add(id)
    if (value === undefined) {
      if (mount.required) throw notFound(id)
      continue
    }
    if (value.length > maxSecretBytes)
      throw new UserError(
        'ERR_SECRET',
        `Cannot use secret "${id}": it has ${value.length} bytes, at most ${maxSecretBytes} are possible`,
      )
    values.set(id, value)
    if (mount.env !== undefined) env.push(variable(id, mount.env, value))
  }
  return { values, env }
}

/** The file of a secret; undefined where there is to be none. */
export function secretFile(mount: SecretMount, { values }: StepSecrets): Mount | undefined {
  const value = values.get(mount.id)
  if (value === undefined || mount.target === undefined) return undefined
  const { kind, target, mode, uid, gid } = mount
  return { kind, target, data: Buffer.from(value).toString('base64'), mode, uid, gid }
}

const asFile = 'Mount it as a file: leave out `env` and name a `target`.'

function variable(id: string, name: string, value: Uint8Array): string {
  const cannot = `Cannot use secret "${id}" as variable "${name}"`
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    throw new UserError(
      'ERR_SECRET',
      `${cannot}: expected letters, digits and underscores, and no digit first`,
    )
  if (!isUtf8(value) || value.includes(0))
    throw new UserError('ERR_SECRET', `${cannot}: its value is no UTF-8 text, or has a NUL byte`, {
      hints: [asFile],
    })
  if (name.length + value.length + 2 > maxVariableBytes)
    throw new UserError('ERR_SECRET', `${cannot}: it has ${value.length} bytes, too many for a variable`, {
      hints: [asFile],
    })
  return `${name}=${Buffer.from(value).toString('utf8')}`
}

function notFound(id: string): UserError {
  return new UserError('ERR_SECRET', `Cannot run a step without its secret: secret ${id}: not found`, {
    hints: [`Give it with \`--secret id=${id},src=FILE\` or \`--secret id=${id},env=NAME\`.`],
  })
}
