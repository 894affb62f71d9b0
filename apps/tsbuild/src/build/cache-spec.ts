import { resolve } from 'node:path'
import type { CacheSource, CacheTarget, Compression } from '@tsbuild/builder'
import { isDigest, parseDigest } from '@tsbuild/digest'
import { didYouMean, isBuildError, UserError } from '@tsbuild/errors'
import { formatReference, parseReference, withDefaultTag } from '@tsbuild/oci'
import { splitCsv } from '../argv/csv.ts'
import type { Host } from '../host.ts'
import {
  type CacheDirection,
  type CacheSettings,
  type CacheType,
  cacheAttributes,
  cacheTypes,
  foreignCacheTypes,
} from './cache-attributes.ts'
import { compressionLevels } from './compression-levels.ts'
import { serverPlace } from './server-place.ts'

/**
 * Reads one `--cache-from` as buildx does: comma-separated `name=value`, or just references of a registry.
 *
 * @throws {UserError} `ERR_USAGE` if it is malformed or contradicts itself
 * @throws {UserError} `ERR_UNSUPPORTED` for what BuildKit has and tsbuild has not
 */
export function parseCacheSource(text: string, host: Host): readonly CacheSource[] {
  const flag = new CacheFlag('from', text)
  return flag.read().map(({ type, settings }) => sourceOf(flag, type, settings, host))
}

/** As {@link parseCacheSource} for one `--cache-to`. @throws {UserError} as that */
export function parseCacheTarget(text: string, host: Host): readonly CacheTarget[] {
  const flag = new CacheFlag('to', text)
  return flag.read().map(({ type, settings }) => targetOf(flag, type, settings, host))
}

/** A flag as it was written, and what is wrong with it. */
export class CacheFlag {
  readonly #direction: CacheDirection
  readonly #text: string

  constructor(direction: CacheDirection, text: string) {
    this.#direction = direction
    this.#text = text
  }

  read(): readonly { readonly type: CacheType; readonly settings: CacheSettings }[] {
    if (this.#text.trim() === '') throw this.wrong('it is empty')
    const fields = this.#fields()
    if (!this.#text.includes('='))
      return fields.map((ref) => ({ type: 'registry', settings: { ref: ref.trim() } }))
    const given = fields.map((field) => this.#split(field))
    const type = this.#type(given.findLast(({ name }) => name === 'type')?.value)
    const named = given.filter(({ name }) => name !== 'type')
    const settings: CacheSettings = Object.assign({}, ...named.map((field) => this.#attribute(type, field)))
    return [{ type, settings }]
  }

  /** The error for this flag. Shows no token. */
  wrong(state: string, hints: readonly string[] = []): UserError {
    return new UserError('ERR_USAGE', `Cannot parse ${this.#what()}: ${state}`, { hints })
  }

  /** What is meant by a name of a cache that is no reference: the address of a server, or a directory. */
  hintsOf(ref: string): readonly string[] {
    if (/^https?:\/\//.test(ref)) return ['A cache-server is `type=server,url=URL`.']
    if (!/^[./~]/.test(ref)) return []
    return [`A directory is \`type=local,${this.#direction === 'from' ? 'src' : 'dest'}=DIR\`.`]
  }

  #what(): string {
    const shown = this.#text.replace(/(\btoken\s*=\s*)[^,"]*/gi, '$1***').replace(/\/\/[^/,@]*@/g, '//***@')
    return `cache "${shown}"`
  }

  #fields(): readonly string[] {
    try {
      return splitCsv(this.#text)
    } catch (error) {
      // The message shows the line as it is.
      throw isBuildError(error) ? this.wrong('its quotes do not close') : error
    }
  }

  #split(field: string): { readonly name: string; readonly value: string } {
    const equals = field.indexOf('=')
    if (equals < 0) throw this.wrong(`expected name=value, got "${field}"`)
    return { name: field.slice(0, equals).trim().toLowerCase(), value: field.slice(equals + 1).trim() }
  }

  #type(type: string | undefined): CacheType {
    if (type === undefined)
      throw this.wrong('type is missing', ['For example `type=registry,ref=registry.example/app:cache`.'])
    if (foreignCacheTypes.includes(type)) {
      throw new UserError('ERR_UNSUPPORTED', `Cannot use ${this.#what()}: type=${type} is not supported`, {
        hints: [
          'There are `type=registry`, `local`, `inline` and `server`: see docs/reference/cache-back-ends.md.',
        ],
      })
    }
    const known = cacheTypes.find((one) => one === type)
    if (known === 'inline' && this.#direction === 'from')
      throw this.wrong('an inline cache is read from its image', ['Write `type=registry,ref=IMAGE`.'])
    if (known !== undefined) return known
    const guess = didYouMean(type, cacheTypes)
    throw this.wrong(
      `no type is called "${type}"`,
      guess.length > 0 ? guess : [`There are ${cacheTypes.join(', ')}.`],
    )
  }

  #attribute(type: CacheType, { name, value }: { name: string; value: string }): CacheSettings {
    const attribute = cacheAttributes.find((one) => one.name === name)
    if (attribute === undefined) {
      const own = cacheAttributes.filter((one) => one[this.#direction].includes(type)).map((one) => one.name)
      throw this.wrong(`no attribute is called "${name}"`, didYouMean(name, ['type', ...own]))
    }
    if (!attribute[this.#direction].includes(type))
      throw this.wrong(`type "${type}" takes no ${name} in --cache-${this.#direction}`, otherWay[name])
    if (name === 'compression' && value === 'nydus')
      throw new UserError('ERR_UNSUPPORTED', `Cannot use ${this.#what()}: compression=nydus is not supported`)
    const settings = attribute.read(value)
    if (settings === undefined) throw this.wrong(`${name} is ${attribute.wanted}, got "${value}"`)
    return settings
  }
}

/** What is meant where an attribute stands in the other flag. */
const otherWay: Readonly<Record<string, readonly string[]>> = {
  src: ['The directory that is written is `dest`.'],
  dest: ['The directory that is read is `src`.'],
}

function sourceOf(flag: CacheFlag, type: CacheType, settings: CacheSettings, host: Host): CacheSource {
  const { insecure, src, tag, digest } = settings
  switch (type) {
    case 'inline':
    case 'registry':
      return { type: 'registry', ref: refOf(flag, settings), ...(insecure === undefined ? {} : { insecure }) }
    case 'local':
      if (src === undefined) throw flag.wrong('type "local" needs src=DIR')
      if (digest !== undefined && !isDigest(digest))
        throw flag.wrong(`digest is sha256: and 64 hex digits, got "${digest}"`)
      return {
        type,
        src: resolve(host.cwd, src),
        ...(tag === undefined ? {} : { tag }),
        ...(digest === undefined ? {} : { digest: parseDigest(digest) }),
      }
    case 'server':
      return { type, ...serverPlace(flag, settings, host) }
  }
}

function targetOf(flag: CacheFlag, type: CacheType, settings: CacheSettings, host: Host): CacheTarget {
  const { mode, ignoreError, insecure, dest, tag, reset } = settings
  const common = {
    ...(mode === undefined ? {} : { mode }),
    ...(ignoreError === undefined ? {} : { ignoreError }),
  }
  switch (type) {
    case 'inline':
      if (mode === 'max') throw flag.wrong('an inline cache has the layers of its image: mode is min')
      return { type, ...common }
    case 'registry':
      return {
        type,
        ref: refOf(flag, settings),
        ...(insecure === undefined ? {} : { insecure }),
        ...common,
        ...layerOptions(flag, settings),
      }
    case 'local':
      if (dest === undefined) throw flag.wrong('type "local" needs dest=DIR')
      return {
        type,
        dest: resolve(host.cwd, dest),
        ...(tag === undefined ? {} : { tag }),
        ...(reset === undefined ? {} : { reset }),
        ...common,
        ...layerOptions(flag, settings),
      }
    case 'server': {
      const compression = compressionOf(flag, settings)
      return {
        type,
        ...serverPlace(flag, settings, host),
        ...common,
        ...(compression === undefined ? {} : { compression }),
      }
    }
  }
}

function refOf(flag: CacheFlag, { ref }: CacheSettings): string {
  if (ref === undefined) throw flag.wrong('type "registry" needs ref=NAME')
  try {
    return formatReference(withDefaultTag(parseReference(ref)))
  } catch (error) {
    throw isBuildError(error)
      ? flag.wrong(`"${ref}" is no reference of a registry`, flag.hintsOf(ref))
      : error
  }
}

function layerOptions(flag: CacheFlag, settings: CacheSettings) {
  const { imageManifest, ociMediaTypes, forceCompression, compressionType } = settings
  if (ociMediaTypes === false && imageManifest === true)
    throw flag.wrong('image-manifest=true needs oci-mediatypes=true')
  if (ociMediaTypes === false && (compressionType === 'zstd' || compressionType === 'estargz'))
    throw flag.wrong(`compression=${compressionType} needs oci-mediatypes=true`)
  const compression = compressionOf(flag, settings)
  return {
    ...(compression === undefined ? {} : { compression }),
    ...(forceCompression === undefined ? {} : { forceCompression }),
    ...(ociMediaTypes === undefined ? {} : { ociMediaTypes }),
    ...(imageManifest === undefined ? {} : { imageManifest }),
  }
}

/** With the levels that outputs have by default, so that an image and its cache share their layers. */
function compressionOf(
  flag: CacheFlag,
  { compressionType, compressionLevel: level }: CacheSettings,
): Compression | undefined {
  if (compressionType === undefined && level === undefined) return undefined
  const type = compressionType ?? 'gzip'
  if (type === 'uncompressed') {
    if (level !== undefined) throw flag.wrong('uncompressed layers have no compression-level')
    return { format: 'none', level: 0 }
  }
  const { lowest, highest, usual } = compressionLevels[type]
  if (level !== undefined && (level < lowest || level > highest))
    throw flag.wrong(`compression-level of ${type} is ${lowest} to ${highest}, got "${level}"`)
  return { format: type, level: level ?? usual }
}
