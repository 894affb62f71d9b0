import { compileGlob, type Grant, isScope, type Scope } from '@tsbuild/trust'
import { expandTemplate, isFitForShow } from './template.ts'
import type { Claims, ExchangeRule } from './types.ts'

/** What a job gets. */
export type Mapped = Pick<
  Grant,
  'subject' | 'read' | 'write' | 'operations' | 'repositories' | 'maxBytes'
> & {
  /** Seconds. */
  readonly ttl: number
}

/** Why a job gets nothing: for the log. */
export interface NotMapped {
  readonly reason: string
}

/** Gives the scopes that follow from claims, by the first rule that fits. */
export function mapClaims(rules: readonly ExchangeRule[], claims: Claims): Mapped | NotMapped {
  for (const rule of rules) {
    const captured = captureClaims(rule, claims)
    // A part that was remembered hides a claim of the same name: the rule's author chose the name.
    if (captured !== undefined) return applyRule(rule, { ...claims, ...captured })
  }
  return { reason: 'no rule is for such a job' }
}

/** What the patterns of a rule remember of claims; undefined where one does not fit, or two remember different things. */
function captureClaims(rule: ExchangeRule, claims: Claims): Claims | undefined {
  const captured = new Map<string, string>()
  for (const [claim, patterns] of Object.entries(rule.match)) {
    const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined
    if (value === undefined) return undefined
    const found = patterns.map((pattern) => compileGlob(pattern)(value)).find((parts) => parts !== undefined)
    if (found === undefined) return undefined
    for (const [name, part] of Object.entries(found)) {
      if ((captured.get(name) ?? part) !== part) return undefined
      captured.set(name, part)
    }
  }
  return Object.fromEntries(captured)
}

function applyRule(rule: ExchangeRule, values: Claims): Mapped | NotMapped {
  const faults: string[] = []
  const expand = (template: string, isFit?: typeof isFitForShow): string | undefined => {
    const expanded = expandTemplate(template, values, isFit)
    if (expanded === undefined) return undefined
    if ('text' in expanded) return expanded.text
    faults.push(
      'missing' in expanded ? `there is no "${expanded.missing}"` : `"${expanded.unfit}" does not fit`,
    )
    return undefined
  }
  const scope = (template: string): readonly Scope[] => {
    const text = expand(template)
    if (text === undefined) return []
    if (isScope(text)) return [text]
    faults.push(`${JSON.stringify(text)} is no scope`)
    return []
  }
  const patterns = (templates: readonly string[]): readonly string[] =>
    templates.flatMap((template) => expand(template) ?? [])
  const [write] = rule.write === undefined ? [] : scope(rule.write)
  const mapped: Mapped = {
    subject: expand(rule.subject, isFitForShow) ?? '',
    read: [...new Set(rule.read.flatMap(scope))],
    write,
    operations: rule.operations,
    repositories: { pull: patterns(rule.repositories.pull), push: patterns(rule.repositories.push) },
    maxBytes: rule.maxBytes,
    ttl: rule.ttl,
  }
  const [fault] = faults
  if (fault !== undefined) return { reason: fault }
  return isNothing(mapped) ? { reason: 'the rule for such jobs gives nothing' } : mapped
}

function isNothing({ read, write, operations, repositories }: Mapped): boolean {
  const reach = [...read, ...repositories.pull, ...repositories.push]
  return (
    operations.length === 0 || (reach.length === 0 && write === undefined && !operations.includes('admin'))
  )
}
