import { UserError } from '@tsbuild/errors'
import {
  descriptorFromJson,
  formatPlatform,
  parsePlatform,
  parseReference,
  withDefaultTag,
} from '@tsbuild/oci'
import {
  type IndexAnnotation,
  type IndexPart,
  createIndex as makeIndex,
  parseImagePlace,
} from '@tsbuild/transfer'
import { placeOptions, shown } from './image-calls.ts'
import type { CreatedIndex, CreateIndexOptions } from './image-types.ts'
import type { Machine } from './machine.ts'

/** See `Builder.createIndex`. */
export async function createIndex(machine: Machine, options: CreateIndexOptions): Promise<CreatedIndex> {
  const names = options.names.map((name) => withDefaultTag(parseReference(name)))
  if (names.length === 0 && options.dryRun !== true)
    throw new UserError('ERR_USAGE', 'Cannot create an index: it has no name', {
      hints: ['Name it with --tag, or look at it with --dry-run.'],
    })
  if (names.length === 0 && options.append === true)
    throw new UserError('ERR_USAGE', 'Cannot append to an index: it has no name', {
      hints: ['Name it with --tag.'],
    })
  const parts: IndexPart[] = [
    ...options.sources.map((text) => ({ place: parseImagePlace(text) })),
    ...(options.descriptors ?? []).map((text) => ({ descriptor: descriptorFromJson(Buffer.from(text)) })),
  ]
  const annotations = (options.annotations ?? []).map(parseIndexAnnotation)
  const title = names.length === 0 ? 'making an index' : `making the index ${options.names.join(', ')}`
  const { descriptor, bytes } = await shown(machine, options, title, (onProgress) =>
    makeIndex({
      ...placeOptions(machine, options),
      names,
      parts,
      annotations,
      append: options.append,
      preferIndex: options.preferIndex,
      dryRun: options.dryRun,
      onProgress,
    }),
  )
  return { descriptor, raw: bytes }
}

/** `[index:|manifest-descriptor[PLATFORM]:]NAME=VALUE`. @throws {UserError} `ERR_USAGE`, `ERR_UNSUPPORTED` */
function parseIndexAnnotation(text: string): IndexAnnotation {
  const [, types = 'index', platform, rest = text] =
    /^((?:(?:index|manifest|index-descriptor|manifest-descriptor)(?:,|(?=[[:])))+)(?:\[([^\]]*)\])?:(.*)$/s.exec(
      text,
    ) ?? []
  const equals = rest.indexOf('=')
  if (equals <= 0) throw new UserError('ERR_USAGE', `Cannot use annotation "${text}": expected NAME=VALUE`)
  const at = types === 'index' || types === 'manifest-descriptor' ? types : undefined
  if (at === undefined)
    throw new UserError(
      'ERR_UNSUPPORTED',
      `Cannot use annotation "${text}": images keep their bytes, so only \`index\` and \`manifest-descriptor\` can be annotated`,
    )
  if (platform !== undefined && at === 'index')
    throw new UserError('ERR_USAGE', `Cannot use annotation "${text}": an index has no platform`)
  return {
    at,
    ...(platform === undefined ? {} : { platform: formatPlatform(parsePlatform(platform)) }),
    name: rest.slice(0, equals),
    value: rest.slice(equals + 1),
  }
}
