import type { Dialect } from './dialect.ts'
import type { GoValue } from './go-json.ts'
import { filled } from './go-json.ts'

/**
 * `--chown` and USER as BuildKit counts them: numbers as such, `root` as 0, names with the input that has them.
 *
 * @param base the input whose `/etc/passwd` and `/etc/group` count; -1 for none
 */
export function ownerValue(owner: string | undefined, base: number, dialect: Dialect): GoValue {
  if (owner === undefined) return undefined
  const at = owner.indexOf(':')
  const [user, group] = at < 0 ? [owner, undefined] : [owner.slice(0, at), owner.slice(at + 1)]
  return { user: part(user, base, dialect), group: part(group, base, dialect) }
}

function part(name: string | undefined, base: number, { writesZeroIndexes, idMember }: Dialect): GoValue {
  if (name === undefined) return undefined
  const id = idOf(name)
  if (id !== undefined) return { User: { [idMember]: filled(id) } }
  return { User: { byName: { name: filled(name), input: writesZeroIndexes ? base : filled(base) } } }
}

function idOf(name: string): number | undefined {
  if (name === 'root') return 0
  return /^[+-]?\d+$/.test(name) && Math.abs(Number(name)) < 2 ** 31 ? Number(name) : undefined
}
