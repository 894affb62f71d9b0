import type { CompressionSpec, OutputSpec } from '@tsbuild/builder'
import { goBoolean } from '@tsbuild/command-line'

/** The kinds of output that `type=` names, in the order of the documentation. */
export const outputTypes = ['image', 'registry', 'oci', 'docker', 'local', 'tar', 'cacheonly'] as const
export type OutputType = (typeof outputTypes)[number]

type Fields<Spec> = Spec extends unknown ? Omit<Spec, 'type' | 'dest' | 'compression' | 'annotations'> : never
type Intersected<Union> = (Union extends unknown ? (one: Union) => void : never) extends (
  all: infer All,
) => void
  ? All
  : never

/** What attributes say, of whatever output. */
export type Settings = Partial<Intersected<Fields<OutputSpec>>> & {
  readonly dest?: string
  readonly compressionType?: CompressionSpec['type']
  readonly compressionLevel?: number
}

/** One attribute of `--output`. */
export interface OutputAttribute {
  readonly name: string
  /** The outputs that take it. */
  readonly types: readonly OutputType[]
  /** What a value has to be, for the error about one that is not: `true or false`. */
  readonly wanted: string
  /** @returns undefined for a value that is none */
  readonly read: (value: string) => Settings | undefined
}

const named: readonly OutputType[] = ['image', 'registry']
const archives: readonly OutputType[] = ['oci', 'docker']
const images: readonly OutputType[] = [...named, ...archives]
const files: readonly OutputType[] = ['local', 'tar']

type Flag = {
  [Name in keyof Settings]-?: boolean extends NonNullable<Settings[Name]> ? Name : never
}[keyof Settings]

function flag(name: string, types: readonly OutputType[], field: Flag): OutputAttribute {
  const read = (value: string) => {
    const said = goBoolean(value)
    return said === undefined ? undefined : { [field]: said }
  }
  return { name, types, wanted: 'true or false', read }
}

function word<Word extends string | number>(
  name: string,
  types: readonly OutputType[],
  words: readonly Word[],
  settings: (word: Word) => Settings,
): OutputAttribute {
  const read = (value: string) => {
    const known = words.find((one) => String(one) === value)
    return known === undefined ? undefined : settings(known)
  }
  return { name, types, wanted: words.join(', ').replace(/, ([^,]*)$/, ' or $1'), read }
}

function text(
  name: string,
  types: readonly OutputType[],
  settings: (value: string) => Settings,
): OutputAttribute {
  return { name, types, wanted: 'a text', read: (value) => (value === '' ? undefined : settings(value)) }
}

/**
 * Every attribute but `type` and the annotations. What holds between several of them is checked where all are known.
 * @see spec/interface.md 5.1
 */
export const outputAttributes: readonly OutputAttribute[] = [
  text('dest', [...archives, ...files], (dest) => ({ dest })),
  text('name', images, (value) => ({
    names: value
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== ''),
  })),
  flag('push', named, 'push'),
  flag('push-by-digest', named, 'pushByDigest'),
  flag('registry.insecure', named, 'insecure'),
  flag('name-canonical', named, 'nameCanonical'),
  flag('store', named, 'store'),
  {
    name: 'unpack',
    types: named,
    wanted: 'true or false',
    // Says nothing: layers that are made here are unpacked in any case.
    read: (value) => (goBoolean(value) === undefined ? undefined : {}),
  },
  text('dangling-name-prefix', named, (danglingNamePrefix) => ({ danglingNamePrefix })),
  // Sic: BuildKit's own spelling.
  flag('danging-name-empty-only', named, 'danglingNameEmptyOnly'),
  flag('tar', archives, 'tar'),
  word('compression', images, ['gzip', 'zstd', 'estargz', 'uncompressed'], (compressionType) => ({
    compressionType,
  })),
  {
    name: 'compression-level',
    types: images,
    wanted: 'a number',
    read: (value) => (/^\d{1,2}$/.test(value) ? { compressionLevel: Number(value) } : undefined),
  },
  flag('force-compression', images, 'forceCompression'),
  flag('oci-mediatypes', images, 'ociMediaTypes'),
  flag('oci-artifact', images, 'ociArtifact'),
  flag('attestation-inline', images, 'attestationInline'),
  flag('prefer-nondist-layers', images, 'preferNonDistributable'),
  flag('rewrite-timestamp', images, 'rewriteTimestamp'),
  {
    name: 'source-date-epoch',
    types: [...images, ...files],
    wanted: 'Unix seconds, or nothing for no date',
    read(value) {
      if (value === '') return { sourceDateEpoch: null }
      return /^\d{1,12}$/.test(value) && Number(value) <= maxSeconds
        ? { sourceDateEpoch: Number(value) }
        : undefined
    },
  },
  word('compatibility-version', images, [10, 20, 30], (compatibilityVersion) => ({ compatibilityVersion })),
  flag('platform-split', files, 'platformSplit'),
  text('attestation-prefix', files, (attestationPrefix) => ({ attestationPrefix })),
  word('mode', ['local'], ['copy', 'delete'], (mode) => ({ mode })),
]

/** The last second that RFC 3339 can write. */
const maxSeconds = 253_402_300_799

/** The outputs that annotations can stand in. */
export const annotatedTypes = images
