import { isDigest } from '@tsbuild/digest'
import {
  count,
  either,
  flag,
  listOf,
  type Members,
  nothing,
  objectOf,
  oneOf,
  optional,
  type Shape,
  text,
} from '@tsbuild/shape'
import type { Explanation } from './types.ts'

const textOrNone = either(text, nothing)
const digest: Shape = (value) => typeof value === 'string' && isDigest(value)
const change: Members = { before: textOrNone, after: textOrNone }
const image = either(nothing, objectOf({ reference: text, manifest: text }))

const reason = objectOf({
  code: oneOf(
    ...['first-build', 'instruction', 'arg', 'env', 'files', 'base-image', 'input', 'secret', 'forced'],
    ...['expired', 'evicted', 'damaged'],
  ),
  text,
})

const fileChange = objectOf({
  path: text,
  change: oneOf('added', 'removed', 'content', 'mode', 'owner', 'kind', 'target', 'attributes'),
  before: optional(text),
  after: optional(text),
})

const difference = either(
  objectOf({
    kind: oneOf('command'),
    part: oneOf('command', 'shell', 'heredoc'),
    line: either(count, nothing),
    before: text,
    after: text,
  }),
  objectOf({ kind: oneOf('instruction'), before: text, after: text }),
  objectOf({ kind: oneOf('arg', 'env'), name: text, ...change, hidden: flag }),
  objectOf({ kind: oneOf('setting'), name: text, ...change }),
  objectOf({ kind: oneOf('mount'), type: text, target: text, option: textOrNone, ...change }),
  objectOf({ kind: oneOf('secret'), id: text }),
  objectOf({
    kind: oneOf('files'),
    from: text,
    before: digest,
    after: digest,
    changes: either(nothing, listOf(fileChange)),
    total: count,
  }),
  objectOf({ kind: oneOf('image'), role: oneOf('base', 'source'), before: image, after: image }),
  objectOf({ kind: oneOf('step'), input: count, name: text, before: digest, after: digest }),
  objectOf({ kind: oneOf('input'), ...change }),
  objectOf({ kind: oneOf('version'), before: text, after: text }),
)

const explanation = objectOf({
  reason,
  earlier: either(nothing, objectOf({ name: text, createdAt: count, durationMs: count })),
  differences: listOf(difference),
  cause: either(nothing, objectOf({ name: text, reason })),
})

/** Checks what was kept of an explanation; undefined for anything else. */
export function readExplanation(value: unknown): Explanation | undefined {
  return isExplanation(value) ? value : undefined
}

function isExplanation(value: unknown): value is Explanation {
  return explanation(value)
}
