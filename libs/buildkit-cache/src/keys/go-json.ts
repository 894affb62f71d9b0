/** What is in a key of BuildKit's; members that are undefined are left out. */
export type GoValue =
  | string
  | number
  | boolean
  | undefined
  | readonly GoValue[]
  | { readonly [name: string]: GoValue }

const escapes: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
}

/** JSON as Go's `encoding/json` writes it, members in the order given. */
export function goJson(value: GoValue): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (mark) => escapes[mark] ?? mark)
}

/** `omitempty`: what Go leaves out of a struct is undefined. */
export function filled<T extends string | number | boolean | readonly GoValue[]>(
  value: T | undefined,
): T | undefined {
  const isEmpty = Array.isArray(value) ? value.length === 0 : value === '' || value === 0 || value === false
  return isEmpty ? undefined : value
}
