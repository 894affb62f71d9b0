import type { BuildOptions, CacheTarget } from '@tsbuild/builder'
import { goBoolean } from '@tsbuild/command-line'
import { UserError } from '@tsbuild/errors'
import type { Host } from '../host.ts'
import type { ConfigFile } from '../settings/config-file.ts'
import { parseCacheSource, parseCacheTarget } from './cache-spec.ts'
import type { BuildFlags } from './flags.ts'

/** What the configuration says of caches elsewhere. */
export type CacheDefaults = Pick<ConfigFile, 'cacheFrom' | 'cacheTo' | 'cacheRequired'>

/**
 * The caches elsewhere of a build: of the flags, where there are none of TSBUILD_CACHE_FROM and TSBUILD_CACHE_TO, and else of the
 * configuration. `--no-cache` asks none, and fills them all the same.
 *
 * @throws {UserError} `ERR_USAGE`, `ERR_UNSUPPORTED` for what is malformed; `ERR_CONFIG` for a TSBUILD_CACHE_REQUIRED that is no truth
 *   value
 */
export function cacheOptions(
  flags: Pick<BuildFlags, 'cacheFrom' | 'cacheTo' | 'cacheRequired'>,
  host: Host,
  config: CacheDefaults = {},
): Pick<BuildOptions, 'cacheFrom' | 'cacheTo' | 'cacheRequired'> {
  const { env } = host
  const from = flags.cacheFrom ?? listOf(env.TSBUILD_CACHE_FROM) ?? config.cacheFrom ?? []
  const to = flags.cacheTo ?? listOf(env.TSBUILD_CACHE_TO) ?? config.cacheTo ?? []
  const required = flags.cacheRequired ?? requiredOf(env) ?? config.cacheRequired
  const cacheFrom = from.flatMap((text) => parseCacheSource(text, host))
  const cacheTo = to.flatMap((text) => parseCacheTarget(text, host))
  refuseTwice(cacheTo)
  return {
    ...(cacheFrom.length === 0 ? {} : { cacheFrom }),
    ...(cacheTo.length === 0 ? {} : { cacheTo }),
    ...(required === true ? { cacheRequired: true } : {}),
  }
}

/** One in each line, or after a `;`; undefined where the variable is not set or empty. */
function listOf(value: string | undefined): readonly string[] | undefined {
  const entries = (value ?? '')
    .split(/[\n;]/)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
  return entries.length === 0 ? undefined : entries
}

function requiredOf({ TSBUILD_CACHE_REQUIRED: value }: Host['env']): boolean | undefined {
  if (value === undefined || value === '') return undefined
  const said = goBoolean(value)
  if (said !== undefined) return said
  throw new UserError('ERR_CONFIG', `Cannot use TSBUILD_CACHE_REQUIRED "${value}": expected true or false`)
}

/** Two exports of one build to one place would wait for each other, and one of them is a mistake. */
function refuseTwice(targets: readonly CacheTarget[]): void {
  const places = targets.map(placeOf)
  const twice = places.find((place, index) => places.indexOf(place) !== index)
  if (twice !== undefined)
    throw new UserError('ERR_USAGE', `Cannot use --cache-to "${twice}": it is given twice`)
}

function placeOf(target: CacheTarget): string {
  switch (target.type) {
    case 'inline':
      return 'type=inline'
    case 'registry':
      return target.ref
    case 'local':
      return `${target.dest}:${target.tag ?? 'latest'}`
    case 'server':
      return target.url
  }
}
