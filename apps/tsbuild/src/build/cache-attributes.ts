import { goBoolean } from '@tsbuild/command-line'

/** The caches that `type=` names, in the order of the documentation. */
export const cacheTypes = ['registry', 'inline', 'local', 'server'] as const
export type CacheType = (typeof cacheTypes)[number]

/** BuildKit's caches that tsbuild has not. */
export const foreignCacheTypes: readonly string[] = ['gha', 's3', 'azblob']

/** Which flag an attribute stands in: `--cache-from` or `--cache-to`. */
export type CacheDirection = 'from' | 'to'

/** What attributes say, of whatever cache. */
export interface CacheSettings {
  readonly ref?: string
  readonly insecure?: boolean
  readonly src?: string
  readonly dest?: string
  readonly tag?: string
  readonly digest?: string
  readonly reset?: boolean
  readonly url?: string
  readonly token?: string
  readonly tokenFile?: string
  readonly oidc?: 'github' | 'gitlab'
  readonly keys?: string
  readonly mode?: 'min' | 'max'
  readonly ignoreError?: boolean
  readonly imageManifest?: boolean
  readonly ociMediaTypes?: boolean
  readonly compressionType?: 'gzip' | 'zstd' | 'estargz' | 'uncompressed'
  readonly compressionLevel?: number
  readonly forceCompression?: boolean
}

/** One attribute of `--cache-from` and `--cache-to`. */
export interface CacheAttribute {
  readonly name: string
  /** The caches that take it where they are read, and where they are written. */
  readonly from: readonly CacheType[]
  readonly to: readonly CacheType[]
  /** What a value has to be, for the error about one that is not: `true or false`. */
  readonly wanted: string
  /** @returns undefined for a value that is none */
  readonly read: (value: string) => CacheSettings | undefined
}

type Places = Partial<Pick<CacheAttribute, CacheDirection>>
type Flag = {
  [Name in keyof CacheSettings]-?: boolean extends NonNullable<CacheSettings[Name]> ? Name : never
}[keyof CacheSettings]

function text(
  name: string,
  { from = [], to = [] }: Places,
  settings: (value: string) => CacheSettings,
): CacheAttribute {
  const read = (value: string) => (value === '' ? undefined : settings(value))
  return { name, from, to, wanted: 'a text', read }
}

function flag(name: string, { from = [], to = [] }: Places, field: Flag): CacheAttribute {
  const read = (value: string) => {
    const said = goBoolean(value)
    return said === undefined ? undefined : { [field]: said }
  }
  return { name, from, to, wanted: 'true or false', read }
}

function word<Word extends string>(
  name: string,
  { from = [], to = [] }: Places,
  words: readonly Word[],
  settings: (word: Word) => CacheSettings,
): CacheAttribute {
  const read = (value: string) => {
    const known = words.find((one) => one === value)
    return known === undefined ? undefined : settings(known)
  }
  return { name, from, to, wanted: words.join(', ').replace(/, ([^,]*)$/, ' or $1'), read }
}

const registry = ['registry'] as const
const local = ['local'] as const
const server = ['server'] as const
const reached: readonly CacheType[] = ['registry', 'server']
const written: readonly CacheType[] = ['registry', 'local']
const sent: readonly CacheType[] = [...written, 'server']

/**
 * Every attribute but `type`. What holds between several of them is checked where all are known.
 * @see spec/interface.md 5.3
 */
export const cacheAttributes: readonly CacheAttribute[] = [
  text('ref', { from: registry, to: registry }, (ref) => ({ ref })),
  flag('registry.insecure', { from: reached, to: reached }, 'insecure'),
  text('src', { from: local }, (src) => ({ src })),
  text('dest', { to: local }, (dest) => ({ dest })),
  text('tag', { from: local, to: local }, (tag) => ({ tag })),
  text('digest', { from: local }, (digest) => ({ digest })),
  flag('reset', { to: local }, 'reset'),
  text('url', { from: server, to: server }, (url) => ({ url })),
  text('token', { from: server, to: server }, (token) => ({ token })),
  text('token-file', { from: server, to: server }, (tokenFile) => ({ tokenFile })),
  word('oidc', { from: server, to: server }, ['github', 'gitlab'], (oidc) => ({ oidc })),
  text('keys', { from: server, to: server }, (keys) => ({ keys })),
  word('mode', { to: cacheTypes }, ['min', 'max'], (mode) => ({ mode })),
  flag('ignore-error', { to: cacheTypes }, 'ignoreError'),
  flag('image-manifest', { to: written }, 'imageManifest'),
  flag('oci-mediatypes', { to: written }, 'ociMediaTypes'),
  word('compression', { to: sent }, ['gzip', 'zstd', 'estargz', 'uncompressed'], (compressionType) => ({
    compressionType,
  })),
  {
    name: 'compression-level',
    from: [],
    to: sent,
    wanted: 'a number',
    read: (value) => (/^\d{1,2}$/.test(value) ? { compressionLevel: Number(value) } : undefined),
  },
  flag('force-compression', { to: written }, 'forceCompression'),
]
