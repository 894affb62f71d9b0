import { readFile, stat } from 'node:fs/promises'
import { UserError } from '@tsbuild/errors'
import pLimit from 'p-limit'
import type { Agent, AgentConnection } from './agent.ts'
import { parsePrivateKey } from './private-key.ts'
import type { SigningKey } from './signing-key.ts'

/** The longest key file that is read; one of a 16384 bit RSA key has 13 KB. */
const maxKeyFileBytes = 64 * 1024

/**
 * Reads private keys into an agent. The files are read once. Their modes are not looked at: who can name a file may read it.
 *
 * @throws {UserError} `ERR_SSH` if a file cannot be read, is no private key or has a passphrase
 */
export async function readKeyAgent(paths: readonly string[]): Promise<Agent> {
  const keys: readonly SigningKey[] = await Promise.all(
    paths.map(async (path) => parsePrivateKey(path, await readKeyFile(path))),
  )
  // One signature at a time: they are made by the threads that also read files.
  const limit = pLimit(1)
  const connection: AgentConnection = {
    identities: async () => keys.map(({ blob }) => ({ key: blob, comment: '' })),
    sign: ({ key, data, flags }) =>
      limit(async () => await keys.find(({ blob }) => blob.equals(key))?.sign(data, flags)),
    close() {},
  }
  return { open: () => connection }
}

async function readKeyFile(path: string): Promise<Buffer> {
  const refuse = (why: string, cause?: unknown) =>
    new UserError('ERR_SSH', `Cannot use the ssh key "${path}": ${why}`, { cause })
  try {
    const stats = await stat(path)
    if (!stats.isFile()) throw refuse('it is no file')
    if (stats.size > maxKeyFileBytes) throw refuse(`it has more than ${maxKeyFileBytes} bytes`)
    return await readFile(path)
  } catch (cause) {
    if (cause instanceof Error && 'syscall' in cause) throw refuse(cause.message, cause)
    throw cause
  }
}
