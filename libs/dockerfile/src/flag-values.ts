import { didYouMean } from '@tsbuild/errors'
import { type Request, refuse } from './request.ts'

/** The flags that an instruction takes, by the kind of their values. */
export interface FlagTable {
  readonly text?: readonly string[]
  readonly bool?: readonly string[]
  /** May be given several times. */
  readonly list?: readonly string[]
}

/** One given flag. */
export interface FlagUse {
  readonly value: string
  /** Position among the instruction's flags. */
  readonly index: number
}

/** The flags that were given. Asking for a name that the table lacks gives what "not given" gives. */
export interface FlagValues {
  /** The flag and its text; null when not given. The text may be empty. */
  use(name: string): FlagUse | null
  /** The text; null when not given or empty. */
  text(name: string): string | null
  /** Null when not given. */
  bool(name: string): boolean | null
  list(name: string): readonly FlagUse[]
}

const NO_FLAGS: FlagTable = {}

function kindOf(table: FlagTable, name: string): keyof FlagTable | null {
  if (table.text?.includes(name)) return 'text'
  if (table.bool?.includes(name)) return 'bool'
  return table.list?.includes(name) ? 'list' : null
}

function refuseUnknown(request: Request, table: FlagTable, written: string, index: number): never {
  const names = [...(table.text ?? []), ...(table.bool ?? []), ...(table.list ?? [])].map(
    (name) => `--${name}`,
  )
  refuse(request, `unknown flag: ${written}`, {
    code: 'ERR_DOCKERFILE_UNKNOWN_FLAG',
    at: { flag: index },
    hints: didYouMean(written.slice(0, 32), names),
  })
}

/**
 * Reads an instruction's flags.
 *
 * @throws {UserError} `ERR_DOCKERFILE_UNKNOWN_FLAG` for a flag outside of the table; `ERR_DOCKERFILE_SYNTAX` for a repeated
 *   flag, a missing value, or a boolean that is neither true nor false
 * @see spec/dockerfile.md 1.1
 */
export function readFlags(request: Request, table: FlagTable = NO_FLAGS): FlagValues {
  const uses = new Map<string, FlagUse[]>()
  request.flags.forEach((flag, index) => {
    const equals = flag.indexOf('=')
    const written = equals === -1 ? flag : flag.slice(0, equals)
    const value = equals === -1 ? '' : flag.slice(equals + 1)
    const name = written.slice(2)
    const at = { flag: index }
    const kind = kindOf(table, name)
    if (kind === null) refuseUnknown(request, table, written, index)
    const given = uses.get(name) ?? []
    if (given.length > 0 && kind !== 'list') refuse(request, `duplicate flag specified: ${written}`, { at })
    const mayLackValue = kind === 'bool' && equals === -1
    if (equals === -1 ? !mayLackValue : kind === 'bool' && value === '') {
      refuse(request, `missing a value on flag: ${written}`, { at })
    }
    if (kind === 'bool' && !['', 'true', 'false'].includes(value.toLowerCase())) {
      refuse(request, `expecting boolean value for flag ${written}, not: ${value}`, { at })
    }
    given.push({ value, index })
    uses.set(name, given)
  })
  return {
    use: (name) => uses.get(name)?.[0] ?? null,
    text: (name) => uses.get(name)?.[0]?.value || null,
    bool: (name) => {
      const use = uses.get(name)?.[0]
      return use === undefined ? null : use.value.toLowerCase() !== 'false'
    },
    list: (name) => uses.get(name) ?? [],
  }
}
