import { type EntryWant, parseEntryWant } from './entry.ts'
import {
  anything,
  flag,
  integer,
  listOf,
  mapOf,
  nullable,
  objectOf,
  optional,
  type Parse,
  text,
  word,
} from './parse.ts'

/** What a Dockerfile must be read as. */
export interface InstructionsWant {
  readonly kind: 'instructions'
  /** As `describeDockerfile` writes it; compared as a whole. */
  readonly escape: string | undefined
  readonly directives: readonly unknown[] | undefined
  readonly warnings: readonly unknown[] | undefined
  readonly stages: readonly unknown[] | undefined
  readonly instructions: readonly Readonly<Record<string, unknown>>[]
}

/** What a build must give. */
export interface ImageWant {
  readonly kind: 'image'
  /** The image whose tree and config the others are given relative to; nothing and the defaults where it is missing. */
  readonly since: string | undefined
  /** Every path that is not as in `since`. */
  readonly tree: Readonly<Record<string, EntryWant>>
  /** Every member of the config that is not as in `since`; null for one that is gone. */
  readonly config: Readonly<Record<string, unknown>>
  readonly author: string | undefined
  /** RFC 3339. */
  readonly created: string | undefined
  /** The entries after those of `since`. */
  readonly history: readonly HistoryWant[] | undefined
  /** How many layers there are above those of `since`. */
  readonly layers: number | undefined
  /** Every warning of the build. */
  readonly warnings: readonly WarningWant[] | undefined
  /** Of the second build, where the case has an again.json. */
  readonly again: { readonly executed: readonly string[]; readonly cached: readonly string[] } | undefined
}

export interface HistoryWant {
  readonly created_by: string
  readonly empty_layer: boolean | undefined
}

/** `message` is a piece of the warning's text. */
export interface WarningWant {
  readonly rule: string
  readonly line: number | null
  readonly message: string
}

/** How a build must fail. */
export interface ErrorWant {
  readonly kind: 'error'
  readonly code: string
  /** The first line of the range; null for an error that has none. */
  readonly line: number | null
  /** The last line of the range, where it is another. */
  readonly endLine: number | undefined
  /** A piece of the message. */
  readonly message: string
  /** A piece of one of the hints. */
  readonly hint: string | undefined
}

export type Want = InstructionsWant | ImageWant | ErrorWant

const parseInstructions: Parse<InstructionsWant> = objectOf({
  kind: word('instructions'),
  escape: optional(text),
  directives: optional(listOf(anything)),
  warnings: optional(listOf(anything)),
  stages: optional(listOf(anything)),
  instructions: listOf(mapOf(anything)),
})

const parseTree: Parse<ImageWant['tree']> = (value, at) => {
  const entries = Object.entries(mapOf(anything)(value, at)).map(
    ([path, entry]) => [path.replace(/\/$/, ''), parseEntryWant(path)(entry, `${at} "${path}"`)] as const,
  )
  return Object.fromEntries(entries)
}

const parseImage: Parse<ImageWant> = (value, at) => ({
  ...objectOf({
    kind: word('image'),
    since: optional(text),
    author: optional(text),
    created: optional(text),
    tree: parseTree,
    history: optional(listOf(objectOf({ created_by: text, empty_layer: optional(flag) }))),
    layers: optional(integer),
    warnings: optional(listOf(objectOf({ rule: text, line: nullable(integer), message: text }))),
    again: optional(objectOf({ executed: listOf(text), cached: listOf(text) })),
    config: optional(mapOf(anything)),
  })(value, at),
  config: mapOf(anything)(Object(value).config ?? {}, `${at}.config`),
})

const parseError: Parse<ErrorWant> = objectOf({
  kind: word('error'),
  code: text,
  line: nullable(integer),
  endLine: optional(integer),
  message: text,
  hint: optional(text),
})

/** Reads a want.json. @throws {Error} for an unknown key or a value of the wrong kind */
export const parseWant: Parse<Want> = (value, at) => {
  const kind = word('instructions', 'image', 'error')(Object(value).kind, `${at}.kind`)
  if (kind === 'instructions') return parseInstructions(value, at)
  return kind === 'image' ? parseImage(value, at) : parseError(value, at)
}
