/** Reads an unknown JSON value as a `T`; `at` says where it stands. @throws {Error} when it is something else */
export type Parse<T> = (value: unknown, at: string) => T

function refuse(value: unknown, at: string, expected: string): never {
  throw new Error(`${at}: expected ${expected}, found ${JSON.stringify(value)}`)
}

export const text: Parse<string> = (value, at) =>
  typeof value === 'string' ? value : refuse(value, at, 'a string')

export const integer: Parse<number> = (value, at) =>
  Number.isSafeInteger(value) ? (value as number) : refuse(value, at, 'an integer')

export const flag: Parse<boolean> = (value, at) =>
  typeof value === 'boolean' ? value : refuse(value, at, 'true or false')

/** Any JSON value; for what is compared as a whole. */
export const anything: Parse<unknown> = (value) => value

/** One of these strings. */
export function word<const W extends string>(...words: readonly W[]): Parse<W> {
  return (value, at) =>
    words.find((one) => one === value) ?? refuse(value, at, words.map((one) => `"${one}"`).join(' or '))
}

/** What `parse` reads, or undefined where the member is missing. */
export function optional<T>(parse: Parse<T>): Parse<T | undefined> {
  return (value, at) => (value === undefined ? undefined : parse(value, at))
}

/** What `parse` reads, or null. */
export function nullable<T>(parse: Parse<T>): Parse<T | null> {
  return (value, at) => (value === null ? null : parse(value, at))
}

export function listOf<T>(parse: Parse<T>): Parse<readonly T[]> {
  return (value, at) =>
    Array.isArray(value)
      ? value.map((item, index) => parse(item, `${at}[${index}]`))
      : refuse(value, at, 'a list')
}

/** An object whose keys are data. Keeps their order. */
export function mapOf<T>(parse: Parse<T>): Parse<Readonly<Record<string, T>>> {
  return (value, at) =>
    Object.fromEntries(entriesOf(value, at).map(([key, item]) => [key, parse(item, `${at}.${key}`)]))
}

type Members = Readonly<Record<string, Parse<unknown>>>

/** An object with these members and no other. */
export function objectOf<M extends Members>(
  members: M,
): Parse<{ readonly [K in keyof M]: M[K] extends Parse<infer T> ? T : never }> {
  return (value, at) => {
    const given = new Map(entriesOf(value, at))
    const unknown = [...given.keys()].filter((key) => !(key in members))
    if (unknown.length > 0) throw new Error(`${at}: unknown key ${unknown.join(', ')}`)
    const parsed = Object.entries(members).map(
      ([key, parse]) => [key, parse(given.get(key), `${at}.${key}`)] as const,
    )
    return Object.fromEntries(parsed) as never
  }
}

function entriesOf(value: unknown, at: string): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(value, at, 'an object')
  return Object.entries(value)
}
