import { UserError } from '@tsbuild/errors'
import { formatPlatform, normalizePlatform, type Platform, parsePlatform, samePlatform } from '@tsbuild/oci'
import type { BuildOptions } from './types.ts'

/**
 * The platforms of a build, each once, normalised and in the order asked for; the machine's own where none is.
 *
 * @throws {UserError} `ERR_PLATFORM_INVALID` for one that is malformed or not Linux
 */
export function wantedPlatforms({ platforms = [] }: BuildOptions, host: Platform): readonly Platform[] {
  const wanted: Platform[] = []
  for (const text of platforms.length === 0 ? ['local'] : platforms) {
    const platform = normalizePlatform(text === 'local' ? host : parsePlatform(text, host))
    if (platform.os !== 'linux') {
      const message = `Cannot build for ${formatPlatform(platform)}: only Linux images can be built`
      throw new UserError('ERR_PLATFORM_INVALID', message)
    }
    if (!wanted.some((other) => samePlatform(other, platform))) wanted.push(platform)
  }
  return wanted
}

/** The directory of a platform in a result of several: `linux_arm_v7`. */
export function platformDirectory(platform: Platform): string {
  return formatPlatform(platform).replaceAll('/', '_')
}
