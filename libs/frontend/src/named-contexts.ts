import { isBuildError } from '@tsbuild/errors'
import { familiarName, normalizePlatform, type Platform, parsePlatform, parseReference } from '@tsbuild/oci'
import type { NamedContext } from './types.ts'

/** A named context that answers a name. */
export interface FoundContext {
  /** As given to the build; names the vertex that loads its files. */
  readonly name: string
  readonly context: NamedContext
}

/** Named contexts by what a Dockerfile may call them. */
export interface NamedContexts {
  /**
   * What stands in the place of a stage or an image. One given for the platform comes first. `scratch` and `context` are
   * never replaced.
   */
  find(name: string, platform: Platform): FoundContext | undefined
  /** What replaces the build context. */
  readonly main: FoundContext | undefined
}

/**
 * Sorts named contexts by name: `alpine`, `alpine:latest` and `docker.io/library/alpine` are one.
 *
 * @throws {UserError} `ERR_PLATFORM_INVALID` for a name with a malformed `::platform`
 * @see spec/dockerfile.md 1.7
 */
export function createNamedContexts(given: ReadonlyMap<string, NamedContext>): NamedContexts {
  const known = new Map<string, FoundContext>()
  for (const [name, context] of given) {
    const [plain = '', platform] = name.split('::', 2)
    const key = platform === undefined ? keyOf(plain) : keyOf(plain, parsePlatform(platform))
    known.set(key, { name, context })
  }
  const main = given.get('context')
  return {
    find(name, platform) {
      if (known.size === 0) return undefined
      const lower = name.toLowerCase()
      if (lower === 'scratch' || lower === 'context') return undefined
      return known.get(keyOf(name, platform)) ?? known.get(keyOf(name))
    },
    main: main && { name: 'context', context: main },
  }
}

function keyOf(name: string, platform?: Platform): string {
  const plain = plainName(name)
  if (platform === undefined) return plain
  const { os, architecture, variant = '', osVersion = '' } = normalizePlatform(platform)
  return [plain, os, architecture, variant, osVersion].join('::')
}

/** A stage's name need not be that of an image: then it is what it is. */
function plainName(name: string): string {
  try {
    return familiarName(parseReference(name)).replace(/:latest$/, '')
  } catch (error) {
    if (isBuildError(error) && error.code === 'ERR_REFERENCE_INVALID') return name
    throw error
  }
}
