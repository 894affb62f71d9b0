import type { KeyText } from '@tsbuild/builder'
import { UserError } from '@tsbuild/errors'
import type { Host } from '../host.ts'
import { askPassword } from '../signatures/ask-password.ts'
import { readKey } from '../signatures/read-key.ts'

/**
 * Reads the key of `--sign-by`. Its password is asked for now: nobody can type among the lines of a build. Standard input is not
 * read for it, which may be the build context.
 *
 * @throws {UserError} `ERR_SIGNATURE_KEY`, `ERR_UNSUPPORTED`, `ERR_CANCELLED`
 */
export async function signingKey(name: string, host: Host): Promise<KeyText> {
  const key = await readKey(name, host)
  if (!key.pem.includes('ENCRYPTED')) return key
  if (host.env.COSIGN_PASSWORD === undefined && host.stdin.isTTY !== true) {
    throw new UserError(
      'ERR_SIGNATURE_KEY',
      `Cannot read key "${name}": it has a password, and nobody can be asked`,
      {
        hints: ['Set COSIGN_PASSWORD.'],
      },
    )
  }
  const password = await askPassword(`Password of ${name}: `, host)
  return { ...key, password: async () => password }
}
