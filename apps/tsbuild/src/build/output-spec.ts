import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import type { CompressionSpec, EngineOutput, OutputSpec } from '@tsbuild/builder'
import { didYouMean, UserError } from '@tsbuild/errors'
import { splitCsv } from '../argv/csv.ts'

/** Where outputs go that are not named by an absolute path. */
export interface OutputTargets {
  readonly cwd: string
  readonly stdout: Writable & { readonly isTTY?: boolean | undefined }
}

/** One `--output`, understood. */
export interface ParsedOutput {
  readonly specs: readonly OutputSpec[]
  /** `name=`: further tags. */
  readonly names: readonly string[]
}

const types = ['image', 'registry', 'oci', 'docker', 'local', 'tar', 'cacheonly'] as const
type OutputType = (typeof types)[number]

/** Attributes that are understood; for the last four only the value that changes nothing. */
const attributes = ['type', 'dest', 'context', 'name', 'push', 'compression', 'compression-level'] as const
const fixedAttributes: ReadonlyMap<string, string> = new Map([
  ['oci-mediatypes', 'true'],
  ['force-compression', 'false'],
  ['tar', 'true'],
  ['store', 'true'],
  ['unpack', 'false'],
  ['rewrite-timestamp', 'false'],
])

/** Attributes of BuildKit's exporters that are not supported; listed so that a typing error is told apart from them. */
const foreignAttributes = [
  'push-by-digest',
  'registry.insecure',
  'name-canonical',
  'dangling-name-prefix',
  'platform-split',
  'attestation-prefix',
  'mode',
  'oci-artifact',
  'attestation-inline',
  'prefer-nondist-layers',
  'source-date-epoch',
  'compatibility-version',
]

/**
 * Reads one `--output` as buildx does: comma-separated `name=value`, or just a path (`type=local`) or `-` (`type=tar` on
 * standard output).
 *
 * @throws {UserError} `ERR_USAGE` if it is malformed, or a terminal would get an archive
 * @throws {UserError} `ERR_UNSUPPORTED` for types and attributes of BuildKit that are not supported
 */
export function parseOutput(text: string, targets: OutputTargets): ParsedOutput {
  const fields = splitCsv(text)
  // buildx takes `dest=x` as a path, too; nobody means that.
  if (fields.length === 1 && fields[0] === text && !attributes.some((name) => text.startsWith(`${name}=`))) {
    if (text === '-') return { specs: [{ type: 'tar', dest: standardOutput(text, targets) }], names: [] }
    if (text === '') throw wrong(text, 'it is empty')
    return { specs: [{ type: 'local', dest: resolve(targets.cwd, text) }], names: [] }
  }
  const given = readAttributes(text, fields)
  const type = outputType(text, given.get('type'))
  const names = given.get('name')
  if (names !== undefined && (type === 'local' || type === 'tar' || type === 'cacheonly')) {
    throw wrong(text, `type "${type}" takes no name`)
  }
  return {
    specs: outputSpecs(text, type, given, targets),
    names: names === undefined ? [] : names.split(',').filter((name) => name !== ''),
  }
}

function readAttributes(text: string, fields: readonly string[]): ReadonlyMap<string, string> {
  const given = new Map<string, string>()
  for (const field of fields) {
    const equals = field.indexOf('=')
    if (equals < 0) throw wrong(text, `expected name=value, got "${field}"`)
    const name = field.slice(0, equals).trim().toLowerCase()
    const value = field.slice(equals + 1).trim()
    checkAttribute(text, name, value)
    given.set(name, value)
  }
  return given
}

function checkAttribute(text: string, name: string, value: string): void {
  if (attributes.some((known) => known === name)) return
  const only = fixedAttributes.get(name)
  if (only !== undefined && only === value) return
  if (only !== undefined || foreignAttributes.includes(name) || name.startsWith('annotation')) {
    throw new UserError('ERR_UNSUPPORTED', `Cannot use output "${text}": ${name}=${value} is not supported`)
  }
  throw new UserError('ERR_USAGE', `Cannot parse output "${text}": no attribute is called "${name}"`, {
    hints: didYouMean(name, [...attributes, ...fixedAttributes.keys()]),
  })
}

function outputType(text: string, type: string | undefined): OutputType {
  if (type === undefined) throw wrong(text, 'type is missing', ['For example `type=oci,dest=image.tar`.'])
  const known = types.find((one) => one === type)
  if (known !== undefined) return known
  const guess = didYouMean(type, types)
  throw wrong(
    text,
    `no type is called "${type}"`,
    guess.length > 0 ? guess : [`There are ${types.join(', ')}.`],
  )
}

function outputSpecs(
  text: string,
  type: OutputType,
  given: ReadonlyMap<string, string>,
  targets: OutputTargets,
): readonly OutputSpec[] {
  const compression = compressionSpec(text, given)
  const squeeze = compression === undefined ? {} : { compression }
  const dest = given.get('dest')
  if (dest !== undefined && (type === 'image' || type === 'registry' || type === 'cacheonly')) {
    throw wrong(text, `type "${type}" takes no dest`)
  }
  if (compression !== undefined && (type === 'local' || type === 'tar' || type === 'cacheonly')) {
    throw wrong(text, `type "${type}" takes no compression`)
  }
  if (given.has('context') && (type !== 'docker' || dest !== undefined))
    throw wrong(text, 'context is for type "docker" without dest')
  const push = given.get('push')
  if (push !== undefined && type !== 'image' && type !== 'registry')
    throw wrong(text, `type "${type}" takes no push`)
  if (push !== undefined && push !== 'true' && push !== 'false') throw wrong(text, 'push is true or false')
  switch (type) {
    case 'image':
      return push === 'true'
        ? [
            { type, ...squeeze },
            { type: 'registry', ...squeeze },
          ]
        : [{ type, ...squeeze }]
    case 'registry':
      return [{ type, ...squeeze }]
    case 'cacheonly':
      return [{ type }]
    case 'docker':
      if (dest === undefined) return [{ type: 'engine', ...engineContext(given), ...squeeze }]
      return [{ type, dest: fileOrStream(text, dest, targets), ...squeeze }]
    case 'oci':
      return [{ type, dest: fileOrStream(text, dest ?? '-', targets), ...squeeze }]
    case 'tar':
      return [{ type, dest: fileOrStream(text, dest ?? '-', targets) }]
    case 'local':
      if (dest === undefined || dest === '' || dest === '-') throw wrong(text, 'type "local" needs dest=DIR')
      return [{ type, dest: resolve(targets.cwd, dest) }]
  }
}

function fileOrStream(text: string, dest: string, targets: OutputTargets): string | Writable {
  if (dest === '') throw wrong(text, 'dest is empty')
  return dest === '-' ? standardOutput(text, targets) : resolve(targets.cwd, dest)
}

function standardOutput(text: string, targets: OutputTargets): Writable {
  if (targets.stdout.isTTY !== true) return targets.stdout
  throw wrong(text, 'standard output is a terminal', [
    'Name a file with `dest=FILE`, or redirect standard output.',
  ])
}

const levels = { gzip: [0, 9], zstd: [0, 22] } as const

function compressionSpec(text: string, given: ReadonlyMap<string, string>): CompressionSpec | undefined {
  const type = given.get('compression')
  const level = given.get('compression-level')
  if (type === 'estargz' || type === 'nydus') {
    throw new UserError(
      'ERR_UNSUPPORTED',
      `Cannot use output "${text}": compression=${type} is not supported`,
    )
  }
  if (type !== undefined && type !== 'gzip' && type !== 'zstd' && type !== 'uncompressed') {
    throw wrong(
      text,
      `no compression is called "${type}"`,
      didYouMean(type, ['gzip', 'zstd', 'uncompressed']),
    )
  }
  if (level === undefined) return type === undefined ? undefined : { type }
  if (type === 'uncompressed') throw wrong(text, 'uncompressed layers have no compression-level')
  const [lowest, highest] = levels[type ?? 'gzip']
  const number = /^\d{1,2}$/.test(level) ? Number(level) : Number.NaN
  if (!(number >= lowest && number <= highest)) {
    throw wrong(text, `compression-level of ${type ?? 'gzip'} is ${lowest} to ${highest}, got "${level}"`)
  }
  return { type: type ?? 'gzip', level: number }
}

function engineContext(given: ReadonlyMap<string, string>): Pick<EngineOutput, 'context'> {
  const context = given.get('context')
  return context === undefined || context === '' ? {} : { context }
}

function wrong(text: string, state: string, hints: readonly string[] = []): UserError {
  return new UserError('ERR_USAGE', `Cannot parse output "${text}": ${state}`, { hints })
}
