import { UserError } from '@tsbuild/errors'
import { hostPlatform } from '@tsbuild/oci'
import { engineOf } from './engine-output.ts'
import { outputsOf } from './outputs.ts'
import { wantedPlatforms } from './platforms.ts'
import type { BuildRun } from './run-build.ts'

/**
 * Finds the engines of a build before there is anything to load: a build of an hour must not end with a socket that is not
 * there.
 *
 * @throws {EnvironmentError} `ERR_ENGINE_UNREACHABLE`, `ERR_ENGINE_RESPONSE`
 * @throws {UserError} `ERR_UNSUPPORTED` for several platforms where the engine keeps one image under a name
 */
export async function checkEngines({ options, machine, signal }: Omit<BuildRun, 'ssh'>): Promise<void> {
  const platforms = wantedPlatforms(options, hostPlatform(process.arch)).length
  for (const output of outputsOf(options)) {
    if (output.type !== 'engine') continue
    const engine = await engineOf(output, machine.options.env, signal)
    if (platforms === 1 || engine.identity.store === 'content') continue
    throw new UserError(
      'ERR_UNSUPPORTED',
      `Cannot load images for ${platforms} platforms into ${engine.title}: it keeps one image under a name`,
      { hints: ['Build for one platform, or write an OCI archive (type=oci).'] },
    )
  }
}
