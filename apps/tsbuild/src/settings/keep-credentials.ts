import { dirname } from 'node:path'
import { UserError } from '@tsbuild/errors'
import type { Credentials } from '@tsbuild/registry'
import { FileLocks, makeDirectories, outputFailure } from '@tsbuild/store'
import type { Host } from '../host.ts'
import { readIfThere } from './read-if-there.ts'
import { credentialFiles } from './registry-credentials.ts'
import { writePrivateFile } from './write-private-file.ts'

/** What became of credentials. */
export interface Kept {
  /** The file that was changed, or would have been. */
  readonly path: string
  /** The helper that has them; undefined where they are in the file. */
  readonly helper: string | undefined
  /** Whether there was something for the registry before, as far as the file says. */
  readonly known: boolean
}

/**
 * Keeps credentials for a registry, or forgets them, as `docker login` does: in the helper that the configuration names for
 * the registry, else in the configuration. Of several that do so at the same moment none is lost.
 *
 * @param credentials undefined to forget
 * @throws {UserError} `ERR_CONFIG` if nothing says where the configuration is, or it is none
 * @throws {EnvironmentError} `ERR_OUTPUT`, and those of the helper
 */
export async function keepCredentials(
  host: Pick<Host, 'env' | 'uid'>,
  registry: string,
  credentials: Credentials | undefined,
): Promise<Kept> {
  const [path] = credentialFiles(host)
  if (path === undefined) {
    throw new UserError('ERR_CONFIG', 'Cannot keep credentials: neither HOME nor DOCKER_CONFIG is set')
  }
  const { editDockerConfig, tellCredentialHelper } = await import('@tsbuild/registry')
  const edit = async () => editDockerConfig(await readIfThere(path), registry, credentials, path)
  const { text, helper, known } = await edit()
  if (helper !== undefined) await tellCredentialHelper(helper.name, helper.server, credentials)
  if (text !== undefined) {
    // Another login may have written it since.
    await makeDirectories(dirname(path), 0o700).catch((error) => {
      throw outputFailure(error, `Cannot write "${path}"`)
    })
    // The kernel lets go of it however a process ends; the file stays, or two could lock two of that name.
    await new FileLocks(`${path}.lock`).withLock('credentials', async () => {
      const { text: now } = await edit()
      if (now !== undefined) await writePrivateFile(path, now)
    })
  }
  return { path, helper: helper?.name, known }
}
