import { isBuildError, UserError } from '@tsbuild/errors'
import { formatReference, type ImageReference, parseReference, withDefaultTag } from '@tsbuild/oci'
import type { ImageLikeOutput } from './output-types.ts'
import type { BuildOptions } from './types.ts'

/** The names of an output in full form, each once: its own, else the build's tags. @throws {UserError} `ERR_USAGE` */
export function namesOf(output: ImageLikeOutput, { tags = [] }: BuildOptions): readonly string[] {
  const byDigest = 'pushByDigest' in output && output.pushByDigest === true
  const read = byDigest ? repositoryName : fullName
  const names =
    output.names === undefined
      ? tags.map((tag) => read('--tag', tag))
      : output.names.map((name) => read('output name', name))
  return [...new Set(names)]
}

/** The tags of a build in full form. @throws {UserError} `ERR_USAGE` */
export function tagsOf({ tags = [] }: BuildOptions): readonly string[] {
  return tags.map((tag) => fullName('--tag', tag))
}

function fullName(what: string, name: string): string {
  return readName(what, name, (text) =>
    formatReference(withDefaultTag(withoutDigest(what, parseReference(text)))),
  )
}

/** @throws {UserError} `ERR_USAGE` also for a tag: it would not be set */
function repositoryName(what: string, name: string): string {
  return readName(what, name, (text) => {
    const reference = withoutDigest(what, parseReference(text))
    if (reference.tag === undefined) return formatReference(reference)
    throw new UserError('ERR_USAGE', `Cannot use ${what} "${name}": a push by digest sets no tag`, {
      hints: ['Leave the tag out.'],
    })
  })
}

/** A digest says what the image is; nobody knows it before, and the name would say it of another image. */
function withoutDigest(what: string, reference: ImageReference): ImageReference {
  if (reference.digest === undefined) return reference
  throw new UserError(
    'ERR_USAGE',
    `Cannot use ${what} "${formatReference(reference)}": a name that is given has no digest`,
  )
}

function readName(what: string, name: string, read: (text: string) => string): string {
  try {
    return read(name)
  } catch (error) {
    if (!isBuildError(error) || error.code === 'ERR_USAGE') throw error
    const why = error.message.replace(/^Cannot parse image reference ".*?": /s, '')
    throw new UserError('ERR_USAGE', `Cannot use ${what} "${name}": ${why}`, { hints: error.hints })
  }
}
