import type { FieldDifference } from './types.ts'

/** Values with more differences than this are shown as a whole. */
const mostDifferences = 1000

/** Where two JSON values differ, by path: `config.Env[1]`. A list that is longer has members that the other lacks. */
export function compareValues(before: unknown, after: unknown): readonly FieldDifference[] {
  const differences: FieldDifference[] = []
  collect('', before, after, differences)
  return differences
}

function collect(path: string, before: unknown, after: unknown, into: FieldDifference[]): void {
  if (into.length >= mostDifferences) return
  const keys = commonForm(before, after)
  if (keys === undefined) {
    const [one, other] = [textOf(before), textOf(after)]
    if (one !== other) into.push({ name: path, before: one, after: other })
    return
  }
  const inLists = Array.isArray(before)
  for (const key of keys) {
    const inside = inLists ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`
    collect(inside, memberOf(before, key), memberOf(after, key), into)
  }
}

/** The members of two lists or of two objects; undefined where the values are not of the same form. */
function commonForm(before: unknown, after: unknown): readonly string[] | undefined {
  if (!isContainer(before) || !isContainer(after) || Array.isArray(before) !== Array.isArray(after))
    return undefined
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function memberOf(value: unknown, key: string): unknown {
  return isContainer(value) && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined
}

function textOf(value: unknown): string | undefined {
  return value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value)
}
