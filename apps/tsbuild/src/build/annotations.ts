import type { AnnotationLevel, AnnotationSpec } from '@tsbuild/builder'
import { didYouMean, UserError } from '@tsbuild/errors'

const levels: readonly AnnotationLevel[] = ['manifest', 'index', 'manifest-descriptor', 'index-descriptor']

/** What stands before an annotation's key: where it belongs, and to which platform. */
const place = /^([a-z-]+)(?:\[([A-Za-z0-9_./-]+)\])?$/

/**
 * Reads one `--annotation`: `[place[,place…]:]key=value`, where a place is `manifest`, `index` or a descriptor of one, with a
 * platform in brackets where it belongs to one image. Without a place it is the manifest's.
 *
 * @throws {UserError} `ERR_USAGE`
 */
export function parseAnnotation(text: string): readonly AnnotationSpec[] {
  const cannot = (why: string, hints: readonly string[] = []) =>
    new UserError('ERR_USAGE', `Cannot parse --annotation "${text}": ${why}`, { hints })
  const equals = text.indexOf('=')
  if (equals < 0) throw cannot('expected key=value')
  const value = text.slice(equals + 1)
  const front = text.slice(0, equals)
  const colon = front.indexOf(':')
  const key = front.slice(colon + 1)
  if (key === '') throw cannot('the key is empty')
  if (colon < 0) return [{ level: 'manifest', key, value }]
  return front
    .slice(0, colon)
    .split(',')
    .map((one) => {
      const [, name = '', platform] = place.exec(one) ?? []
      const level = levels.find((known) => known === name)
      if (level === undefined) {
        const guess = didYouMean(name === '' ? one : name, levels)
        throw cannot(`there is no place "${one}"`, [...guess, `Places are ${levels.join(', ')}.`])
      }
      return { level, ...(platform === undefined ? {} : { platform }), key, value }
    })
}

const attribute = /^annotation(?:-([a-z-]+))?(?:\[([A-Za-z0-9_./-]+)\])?\.(.+)$/

/**
 * Reads an attribute of an output: `annotation.key`, `annotation-index.key`, `annotation-manifest[linux/amd64].key`.
 * @returns undefined for what is none
 */
export function annotationOfAttribute(name: string, value: string): AnnotationSpec | undefined {
  const match = attribute.exec(name)
  if (match === null) return undefined
  const [, written = 'manifest', platform, key = ''] = match
  const level = levels.find((known) => known === written)
  if (level === undefined) return undefined
  return { level, ...(platform === undefined ? {} : { platform }), key, value }
}
