import { didYouMean, UserError } from '@tsbuild/errors'
import { parseAge } from './age.ts'
import { type Item, type ItemFilter, type ItemKind, itemKinds } from './types.ts'

/** What can be filtered by. Of BuildKit's fields `parents`, `mutable`, `immutable` and `inuse` have no meaning here. */
const keys = ['id', 'type', 'description', 'shared', 'private', 'until', 'unused-for'] as const
type Key = (typeof keys)[number]

type Operator = '=' | '!=' | '~='
type Test = (item: Item, shared: boolean) => boolean

/**
 * Parses `--filter` values as docker's commands take them: `type=regular`, `id=4f2a`, `description~=npm ci`, `shared=false`,
 * `until=24h`. An item has to match all of them; of several `type=`, one.
 *
 * @throws {UserError} `ERR_USAGE`, with the fields that there are
 */
export function parseFilters(filters: readonly string[]): ItemFilter {
  const tests: Test[] = []
  const kinds: ItemKind[] = []
  let olderThanMs: number | undefined
  for (const filter of filters) {
    const { key, operator, value } = split(filter)
    if (key === 'until' || key === 'unused-for') {
      if (operator !== '=') throw wrong(filter, `\`${key}\` takes \`=\` and a time`)
      olderThanMs = Math.max(olderThanMs ?? 0, parseAge(`--filter ${key}`, value))
    } else if (key === 'type' && operator === '=') kinds.push(kindOf(filter, value))
    else tests.push(testOf(filter, key, operator, value))
  }
  if (kinds.length > 0) tests.push(({ kind }) => kinds.includes(kind))
  return { kinds, olderThanMs, matches: (item, shared) => tests.every((test) => test(item, shared)) }
}

function split(filter: string): { readonly key: Key; readonly operator: Operator; readonly value: string } {
  const [, written = '', sign = '', value = ''] = /^([^=!~]*)(==|!=|~=|=)?(.*)$/s.exec(filter) ?? []
  const key = keys.find((known) => known === written)
  if (key === undefined) {
    throw new UserError('ERR_USAGE', `Cannot use filter "${filter}": there is no field "${written}"`, {
      hints: [...didYouMean(written, keys), `Fields are ${keys.join(', ')}.`],
    })
  }
  // As docker has it: `--filter shared` is `shared=true`.
  if (sign === '' && isFlag(key)) return { key, operator: '=', value: 'true' }
  if (sign === '' || value === '') throw wrong(filter, 'expected FIELD=VALUE, FIELD!=VALUE or FIELD~=PATTERN')
  return { key, operator: sign === '==' ? '=' : (sign as Operator), value }
}

function isFlag(key: Key): key is 'shared' | 'private' {
  return key === 'shared' || key === 'private'
}

function kindOf(filter: string, value: string): ItemKind {
  const kind = itemKinds.find((known) => known === value)
  if (kind !== undefined) return kind
  throw new UserError('ERR_USAGE', `Cannot use filter "${filter}": there is no type "${value}"`, {
    hints: [...didYouMean(value, itemKinds), `Types are ${itemKinds.join(', ')}.`],
  })
}

function testOf(filter: string, key: Key, operator: Operator, value: string): Test {
  if (isFlag(key)) {
    if (operator === '~=' || !/^(true|false)$/.test(value)) throw wrong(filter, `\`${key}\` is true or false`)
    const wanted = ((value === 'true') === (operator === '=')) === (key === 'shared')
    return (_, shared) => shared === wanted
  }
  const fieldOf = (item: Item) => (key === 'id' ? item.id : key === 'type' ? item.kind : item.description)
  if (operator === '~=') {
    const pattern = patternOf(filter, value)
    return (item) => pattern.test(fieldOf(item))
  }
  // People copy the beginning of an id.
  const isEqual = (item: Item) => (key === 'id' ? item.id.startsWith(value) : fieldOf(item) === value)
  return operator === '=' ? isEqual : (item) => !isEqual(item)
}

function patternOf(filter: string, value: string): RegExp {
  try {
    return new RegExp(value, 'u')
  } catch {
    throw wrong(filter, 'its pattern is no regular expression')
  }
}

function wrong(filter: string, state: string): UserError {
  return new UserError('ERR_USAGE', `Cannot use filter "${filter}": ${state}`)
}
