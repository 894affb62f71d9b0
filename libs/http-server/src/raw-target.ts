import { HttpError } from './failure.ts'
import { hasControl } from './text.ts'

/** A request target, taken apart. */
export interface RawTarget {
  /** What is between the slashes, each decoded exactly once; the last is empty where the path ends with one. */
  readonly components: readonly string[]
  /** All values of a name, in their order. */
  readonly query: ReadonlyMap<string, readonly string[]>
}

/** Visible ASCII without `#`, `\` and what no URL has: anything else has to be encoded. */
const allowed = /^[!$-;=?-Z[\]_a-z~]*$/
const badEscape = /%(?![0-9a-fA-F]{2})/

/**
 * Takes the target of a request line apart, in origin form only: `/a/b?c=d`. It is decoded once, after it was cut at its
 * slashes: what still looks encoded afterwards is a name with a percent sign in it, and what turns out to be a slash, a
 * backslash, a control character, a dot or two is refused, so that no component can become a path.
 *
 * @throws {HttpError} 400, 414
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-3.2
 */
export function parseTarget(raw: string, maxBytes: number): RawTarget {
  if (raw.length > maxBytes) throw new HttpError(414, 'UNSUPPORTED', 'the request target is too long')
  if (!raw.startsWith('/')) throw refused('the request target has to be a path')
  if (!allowed.test(raw) || badEscape.test(raw))
    throw refused('the request target has characters that no URL has')
  const mark = raw.indexOf('?')
  const path = mark === -1 ? raw : raw.slice(0, mark)
  const components = path.slice(1).split('/').map(decodeComponent)
  if (components.slice(0, -1).includes('')) throw refused('the path has an empty component')
  return { components, query: mark === -1 ? nothing : parseQuery(raw.slice(mark + 1)) }
}

const nothing: ReadonlyMap<string, readonly string[]> = new Map()

function decodeComponent(encoded: string): string {
  const decoded = decode(encoded)
  if (decoded === '.' || decoded === '..' || /[/\\]/.test(decoded)) {
    throw refused('the path has a component that is none')
  }
  return decoded
}

/** `+` is a plus, as in `…+json`, which not every client encodes; no value has a space. */
function parseQuery(text: string): ReadonlyMap<string, readonly string[]> {
  const query = new Map<string, string[]>()
  for (const pair of text.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = equals === -1 ? pair : pair.slice(0, equals)
    const value = equals === -1 ? '' : pair.slice(equals + 1)
    const decoded = decode(name)
    query.set(decoded, [...(query.get(decoded) ?? []), decode(value)])
  }
  return query
}

function decode(encoded: string): string {
  if (!encoded.includes('%')) return encoded
  let decoded: string
  try {
    // Refuses overlong forms, halves of surrogates and bytes that are no UTF-8.
    decoded = decodeURIComponent(encoded)
  } catch (error) {
    throw refused('the request target is not UTF-8', error)
  }
  if (hasControl(decoded)) throw refused('the request target has control characters')
  return decoded
}

function refused(why: string, cause?: unknown): HttpError {
  return new HttpError(400, 'UNSUPPORTED', why, { cause })
}
