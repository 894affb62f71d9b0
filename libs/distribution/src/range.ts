/** A part of something, both ends included; `unsatisfiable` is behind its end. Undefined: all of it. */
export type PickedRange = { readonly start: number; readonly end: number } | 'unsatisfiable' | undefined

/**
 * Which bytes a `Range` header asks for. Several ranges, other units and what is malformed ask for everything, as RFC 9110 lets a
 * server choose.
 *
 * @param size in bytes
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-14
 */
export function pickRange(header: string | undefined, size: number): PickedRange {
  const [, first, last] = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return undefined
  if (start >= size) return 'unsatisfiable'
  return { start, end: last === '' ? size - 1 : Math.min(Number(last), size - 1) }
}

/** Whether a list of entity tags has one, or is `*`. Weak ones count as strong ones: bytes of a digest never change. */
export function hasEtag(header: string, etag: string): boolean {
  const tags = header.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes('*') || tags.includes(etag)
}
