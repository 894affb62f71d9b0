import type { AttestationSpecs, ProvenanceSpec, SbomSpec } from '@tsbuild/builder'
import { didYouMean, UserError } from '@tsbuild/errors'
import { splitCsv } from '../argv/csv.ts'

/** The flags that ask for attestations, as given. */
export interface AttestationFlags {
  readonly attest?: readonly string[]
  readonly provenance?: readonly string[]
  readonly sbom?: readonly string[]
}

type Kind = 'provenance' | 'sbom'

/** One flag that was given, split. */
interface Given {
  readonly flag: string
  readonly kind: Kind
  readonly attributes: ReadonlyMap<string, string>
}

/**
 * What `--attest`, `--provenance` and `--sbom` ask for. As with buildx the last of several short flags counts, and a kind that is
 * asked for by both flags is a mistake. Undefined where nothing is asked for.
 *
 * @throws {UserError} `ERR_USAGE`
 * @see spec/interface.md 4.1, 5.2
 */
export function parseAttestations(flags: AttestationFlags): AttestationSpecs | undefined {
  const given = [
    ...(flags.attest ?? []).map(parseAttest),
    ...shorthand('provenance', flags),
    ...shorthand('sbom', flags),
  ]
  const byKind = new Map<Kind, Given>()
  for (const one of given) {
    if (byKind.has(one.kind))
      throw new UserError(
        'ERR_USAGE',
        `Cannot use ${one.flag}: attestations of type "${one.kind}" are asked for twice`,
      )
    byKind.set(one.kind, one)
  }
  const [provenance, sbom] = [byKind.get('provenance'), byKind.get('sbom')]
  const specs = {
    ...(provenance === undefined || isDisabled(provenance) ? {} : { provenance: provenanceSpec(provenance) }),
    ...(sbom === undefined || isDisabled(sbom) ? {} : { sbom: sbomSpec(sbom) }),
  }
  return Object.keys(specs).length === 0 ? undefined : specs
}

function parseAttest(text: string): Given {
  const flag = `--attest "${text}"`
  const attributes = parseAttributes(flag, text)
  const kind = attributes.get('type')
  if (kind !== 'provenance' && kind !== 'sbom')
    throw new UserError('ERR_USAGE', `Cannot use ${flag}: expected \`type=provenance\` or \`type=sbom\``)
  attributes.delete('type')
  return { flag, kind, attributes }
}

function shorthand(kind: Kind, flags: AttestationFlags): readonly Given[] {
  const text = flags[kind]?.at(-1)
  if (text === undefined || text === '') return []
  const flag = `--${kind} "${text}"`
  const flat = parseBoolean(text)
  const attributes = flat === undefined ? parseAttributes(flag, text) : new Map([['disabled', String(!flat)]])
  return [{ flag, kind, attributes }]
}

function parseAttributes(flag: string, text: string): Map<string, string> {
  const attributes = new Map<string, string>()
  for (const field of splitCsv(text)) {
    const at = field.indexOf('=')
    if (at <= 0) {
      const hints = [`Write \`${flag.replace(/ .*/s, '')}=true\` for the defaults.`]
      const message = `Cannot use ${flag}: expected \`name=value\` in the place of "${field}"`
      throw new UserError('ERR_USAGE', message, { hints: flag.startsWith('--attest') ? [] : hints })
    }
    attributes.set(field.slice(0, at).trim().toLowerCase(), field.slice(at + 1))
  }
  return attributes
}

function isDisabled(given: Given): boolean {
  return flagOf(given, 'disabled') === true
}

const provenanceNames = [
  'mode',
  'version',
  'builder-id',
  'filename',
  'inline-only',
  'reproducible',
  'disabled',
]

function provenanceSpec(given: Given): ProvenanceSpec {
  refuseUnknown(given, provenanceNames)
  const { attributes } = given
  const mode = wordOf(given, 'mode', { min: 'min', max: 'max', full: 'max' })
  const version = wordOf(given, 'version', { v1: 'v1', 'v0.2': 'v0.2' })
  const filename = attributes.get('filename')
  if (filename !== undefined && (filename === '' || filename.includes('/') || filename.startsWith('..')))
    throw new UserError('ERR_USAGE', `Cannot use ${given.flag}: "${filename}" is no name of a file`)
  return {
    mode,
    version,
    builderId: attributes.get('builder-id'),
    filename,
    inlineOnly: flagOf(given, 'inline-only'),
    reproducible: flagOf(given, 'reproducible'),
  }
}

function sbomSpec(given: Given): SbomSpec {
  refuseUnknown(given, ['generator', 'disabled'])
  const generator = given.attributes.get('generator')
  if (generator === '')
    throw new UserError('ERR_USAGE', `Cannot use ${given.flag}: the generator has no name`)
  return { generator }
}

function refuseUnknown({ flag, attributes }: Given, known: readonly string[]): void {
  const unknown = [...attributes.keys()].find((name) => !known.includes(name))
  if (unknown === undefined) return
  const message = `Cannot use ${flag}: there is no attribute "${unknown}"`
  throw new UserError('ERR_USAGE', message, { hints: didYouMean(unknown, known) })
}

function wordOf<Word extends string>(
  { flag, attributes }: Given,
  name: string,
  words: Readonly<Record<string, Word>>,
): Word | undefined {
  const value = attributes.get(name)
  if (value === undefined) return undefined
  const word = Object.hasOwn(words, value) ? words[value] : undefined
  if (word !== undefined) return word
  const wanted = [...new Set(Object.values(words))].join(' or ')
  throw new UserError('ERR_USAGE', `Cannot use ${flag}: ${name} is "${value}", expected ${wanted}`)
}

function flagOf({ flag, attributes }: Given, name: string): boolean | undefined {
  const value = attributes.get(name)
  if (value === undefined) return undefined
  const parsed = parseBoolean(value)
  if (parsed !== undefined) return parsed
  throw new UserError('ERR_USAGE', `Cannot use ${flag}: ${name} is "${value}", expected true or false`)
}

/** As Go reads one. */
function parseBoolean(text: string): boolean | undefined {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true
  return ['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text) ? false : undefined
}
