import { UserError } from '@tsbuild/errors'
import type { ObjectKey } from './types.ts'

const maxKeyBytes = 512
const maxComponentBytes = 200
const component = /^[a-z0-9_-][a-z0-9._-]*$/
const prefixPattern = /^(?:[a-z0-9_-][a-z0-9._-]{0,199}\/)*(?:[a-z0-9_-][a-z0-9._-]{0,199})?$/

/** Whether a text is a key: see {@link ObjectKey}. */
export function isObjectKey(text: string): boolean {
  return (
    text.length <= maxKeyBytes &&
    text.split('/').every((part) => part.length <= maxComponentBytes && component.test(part))
  )
}

/**
 * Checks that a text is a key. Engines call it for each key, so that no text of a client becomes a path.
 *
 * @throws {UserError} `ERR_OBJECT_KEY`
 */
export function parseObjectKey(text: string): ObjectKey {
  if (isObjectKey(text)) return text
  throw new UserError(
    'ERR_OBJECT_KEY',
    `Cannot use object key ${JSON.stringify(text.slice(0, 80))}: expected components of a-z, 0-9, ".", "_" and "-", ` +
      `none beginning with ".", with "/" between them, and at most ${maxKeyBytes} bytes`,
  )
}

/**
 * Checks that a text is the beginning of a key: empty, a key, or one that ends with `/`.
 *
 * @throws {UserError} `ERR_OBJECT_KEY`
 */
export function parseObjectPrefix(text: string): string {
  if (text.length <= maxKeyBytes && prefixPattern.test(text)) return text
  throw new UserError(
    'ERR_OBJECT_KEY',
    `Cannot list objects below ${JSON.stringify(text.slice(0, 80))}: expected the beginning of a key`,
  )
}
