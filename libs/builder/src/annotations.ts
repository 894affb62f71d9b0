import { UserError } from '@tsbuild/errors'
import type { ImageAnnotations, IndexAnnotations } from '@tsbuild/exporter'
import { formatPlatform, type Platform, parsePlatform, samePlatform } from '@tsbuild/oci'
import type { AnnotationLevel, AnnotationSpec } from './output-types.ts'

/** The annotations of one output. */
export interface Annotations {
  readonly index: IndexAnnotations
  of(platform: Platform): ImageAnnotations
}

/**
 * Sorts annotations by where they stand. Of two for one place the later one counts, and one for a platform before one for all.
 *
 * @throws {UserError} `ERR_USAGE` for a platform that is not built, or one given for an index; `ERR_PLATFORM_INVALID`
 */
export function annotationsOf(specs: readonly AnnotationSpec[], platforms: readonly Platform[]): Annotations {
  const read = specs.map((spec) => ({ ...spec, platform: platformOf(spec, platforms) }))
  const collect = (level: AnnotationLevel, platform?: Platform) => {
    const general = read.filter((spec) => spec.level === level && spec.platform === undefined)
    const own = read.filter(
      (spec) =>
        spec.level === level &&
        platform !== undefined &&
        spec.platform !== undefined &&
        samePlatform(spec.platform, platform),
    )
    return Object.fromEntries([...general, ...own].map(({ key, value }) => [key, value]))
  }
  return {
    index: { index: collect('index'), indexDescriptor: collect('index-descriptor') },
    of: (platform) => ({
      manifest: collect('manifest', platform),
      manifestDescriptor: collect('manifest-descriptor', platform),
    }),
  }
}

function platformOf(
  { level, platform, key }: AnnotationSpec,
  platforms: readonly Platform[],
): Platform | undefined {
  if (platform === undefined) return undefined
  const cannot = (why: string) =>
    new UserError('ERR_USAGE', `Cannot set annotation "${key}" of ${level}[${platform}]: ${why}`)
  if (level === 'index' || level === 'index-descriptor')
    throw cannot('an index is for no platform of its own')
  const wanted = parsePlatform(platform)
  if (platforms.some((built) => samePlatform(built, wanted))) return wanted
  throw cannot(`the image is built for ${platforms.map(formatPlatform).join(', ')}`)
}
