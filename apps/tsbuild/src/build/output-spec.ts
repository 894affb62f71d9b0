import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import type { AnnotationSpec, CompressionSpec, EngineOutput, OutputSpec } from '@tsbuild/builder'
import { didYouMean, UserError } from '@tsbuild/errors'
import { splitCsv } from '../argv/csv.ts'
import { annotationOfAttribute } from './annotations.ts'
import { compressionLevels } from './compression-levels.ts'
import {
  annotatedTypes,
  type OutputType,
  outputAttributes,
  outputTypes,
  type Settings,
} from './output-attributes.ts'

/** Where outputs go that are not named by an absolute path. */
export interface OutputTargets {
  readonly cwd: string
  readonly stdout: Writable & { readonly isTTY?: boolean | undefined }
}

const attributeNames = ['type', ...outputAttributes.map(({ name }) => name)]

/**
 * Reads one `--output` as buildx does: comma-separated `name=value`, or just a path (`type=local`) or `-` (`type=tar` on
 * standard output).
 *
 * @throws {UserError} `ERR_USAGE` if it is malformed or contradicts itself, or a terminal would get an archive
 * @throws {UserError} `ERR_UNSUPPORTED` for what BuildKit has and tsbuild has not
 */
export function parseOutput(text: string, targets: OutputTargets): OutputSpec {
  const fields = splitCsv(text)
  // buildx takes `dest=x` as a path, too; nobody means that.
  if (
    fields.length === 1 &&
    fields[0] === text &&
    !attributeNames.some((name) => text.startsWith(`${name}=`))
  ) {
    if (text === '-') return { type: 'tar', dest: standardOutput(text, targets) }
    if (text === '') throw wrong(text, 'it is empty')
    return { type: 'local', dest: resolve(targets.cwd, text) }
  }
  const given = fields.map((field) => splitField(text, field))
  const type = outputType(text, given.findLast(({ name }) => name === 'type')?.value)
  let settings: Settings = {}
  const annotations: AnnotationSpec[] = []
  // Apart from the table: it says which engine, and only an output without `dest` goes to one.
  const context = type === 'docker' ? given.findLast(({ name }) => name === 'context')?.value : undefined
  for (const field of given) {
    const annotation = readAnnotation(text, type, field)
    if (annotation !== undefined) annotations.push(annotation)
    else if (field.name !== 'type' && (field.name !== 'context' || context === undefined))
      settings = { ...settings, ...readAttribute(text, type, field) }
  }
  return outputSpec(text, { type, settings, annotations, context }, targets)
}

interface Field {
  /** In lower case. */
  readonly name: string
  /** As it was written: keys of annotations have a case. */
  readonly written: string
  readonly value: string
}

function splitField(text: string, field: string): Field {
  const equals = field.indexOf('=')
  if (equals < 0) throw wrong(text, `expected name=value, got "${field}"`)
  const written = field.slice(0, equals).trim()
  return { name: written.toLowerCase(), written, value: field.slice(equals + 1).trim() }
}

function outputType(text: string, type: string | undefined): OutputType {
  if (type === undefined) throw wrong(text, 'type is missing', ['For example `type=oci,dest=image.tar`.'])
  const known = outputTypes.find((one) => one === type)
  if (known !== undefined) return known
  const guess = didYouMean(type, outputTypes)
  throw wrong(
    text,
    `no type is called "${type}"`,
    guess.length > 0 ? guess : [`There are ${outputTypes.join(', ')}.`],
  )
}

function readAnnotation(
  text: string,
  type: OutputType,
  { name, written, value }: Field,
): AnnotationSpec | undefined {
  if (!name.startsWith('annotation')) return undefined
  const annotation = annotationOfAttribute(written, value)
  if (annotation === undefined) {
    throw wrong(text, `"${written}" is no annotation`, [
      'For example `annotation.KEY=VALUE`, `annotation-index.KEY=VALUE`, `annotation-manifest[linux/amd64].KEY=VALUE`.',
    ])
  }
  if (!annotatedTypes.includes(type)) throw wrong(text, `type "${type}" takes no annotations`)
  return annotation
}

function readAttribute(text: string, type: OutputType, { name, value }: Field): Settings {
  const attribute = outputAttributes.find((one) => one.name === name)
  if (attribute === undefined) {
    const own = outputAttributes.filter(({ types }) => types.includes(type)).map((one) => one.name)
    throw wrong(text, `no attribute is called "${name}"`, didYouMean(name, ['type', ...own]))
  }
  if (!attribute.types.includes(type)) throw wrong(text, `type "${type}" takes no ${name}`)
  if (name === 'compression' && value === 'nydus') {
    throw new UserError('ERR_UNSUPPORTED', `Cannot use output "${text}": compression=nydus is not supported`)
  }
  const settings = attribute.read(value)
  if (settings === undefined) throw wrong(text, `${name} is ${attribute.wanted}, got "${value}"`)
  return settings
}

/** An output as it was written. */
interface WrittenOutput {
  readonly type: OutputType
  readonly settings: Settings
  readonly annotations: readonly AnnotationSpec[]
  readonly context: string | undefined
}

function outputSpec(
  text: string,
  { type, settings, annotations, context }: WrittenOutput,
  targets: OutputTargets,
): OutputSpec {
  const { dest, compressionType, compressionLevel, ...others } = settings
  const compression = compressionSpec(text, compressionType, compressionLevel)
  // The table lets an attribute through only where the type has its field.
  const common = {
    ...others,
    ...(compression === undefined ? {} : { compression }),
    ...(annotations.length === 0 ? {} : { annotations }),
  }
  refuseContradictions(text, type, settings)
  switch (type) {
    case 'image':
    case 'registry':
      return { type, ...common }
    case 'cacheonly':
      return { type }
    case 'docker':
    case 'oci': {
      if (type === 'docker' && dest === undefined)
        return { ...engineOutput(text, settings, context), ...common }
      if (context !== undefined)
        throw wrong(text, 'context names an engine, and with dest the image goes to none')
      if (settings.tar === false)
        return { type, ...common, dest: directory(text, `${type},tar=false`, dest, targets) }
      return { type, ...common, dest: fileOrStream(text, dest ?? '-', targets) }
    }
    case 'tar':
      return { type, ...others, dest: fileOrStream(text, dest ?? '-', targets) }
    case 'local':
      return { type, ...others, dest: directory(text, 'local', dest, targets) }
  }
}

function refuseContradictions(text: string, type: OutputType, settings: Settings): void {
  const { push = type === 'registry', store, pushByDigest, names, ociMediaTypes, compressionType } = settings
  if (type === 'registry' && !push) throw wrong(text, 'type "registry" pushes: push=false says nothing')
  if (type === 'image' && store === false && !push) throw wrong(text, 'with store=false it needs push=true')
  if (pushByDigest === true && !push) throw wrong(text, 'push-by-digest needs push=true')
  if (names?.length === 0) throw wrong(text, 'name is empty')
  const needsOci = compressionType === 'zstd' || compressionType === 'estargz'
  if (ociMediaTypes === false && needsOci)
    throw wrong(text, `compression=${compressionType} needs oci-mediatypes=true`)
}

function directory(text: string, what: string, dest: string | undefined, { cwd }: OutputTargets): string {
  if (dest === undefined || dest === '-') throw wrong(text, `type "${what}" needs dest=DIR`)
  return resolve(cwd, dest)
}

function fileOrStream(text: string, dest: string, targets: OutputTargets): string | Writable {
  return dest === '-' ? standardOutput(text, targets) : resolve(targets.cwd, dest)
}

function standardOutput(text: string, targets: OutputTargets): Writable {
  if (targets.stdout.isTTY !== true) return targets.stdout
  throw wrong(text, 'standard output is a terminal', [
    'Name a file with `dest=FILE`, or redirect standard output.',
  ])
}

function compressionSpec(
  text: string,
  type: CompressionSpec['type'] | undefined,
  level: number | undefined,
): CompressionSpec | undefined {
  if (level === undefined) return type === undefined ? undefined : { type }
  if (type === 'uncompressed') throw wrong(text, 'uncompressed layers have no compression-level')
  const { lowest, highest } = compressionLevels[type ?? 'gzip']
  if (level < lowest || level > highest) {
    throw wrong(text, `compression-level of ${type ?? 'gzip'} is ${lowest} to ${highest}, got "${level}"`)
  }
  return { type: type ?? 'gzip', level }
}

/** Docker's own form of an image, given to an engine. */
function engineOutput(text: string, { tar }: Settings, context: string | undefined): EngineOutput {
  if (tar !== undefined) throw wrong(text, 'tar is about a file, and dest is missing')
  if (context === '') throw wrong(text, 'context is empty')
  return { type: 'engine', ...(context === undefined ? {} : { context }) }
}

function wrong(text: string, state: string, hints: readonly string[] = []): UserError {
  return new UserError('ERR_USAGE', `Cannot parse output "${text}": ${state}`, { hints })
}
