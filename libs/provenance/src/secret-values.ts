import {
  type Instruction,
  isProxyArg,
  isSecretValue,
  looksSecret,
  parseDockerfile,
} from '@tsbuild/dockerfile'
import { redact } from '@tsbuild/errors'
import type { Graph } from '@tsbuild/graph'
import type { BuildDescription } from './types.ts'

/** What stands in the place of a value that is not told. */
export const hidden = '***'

/** A shorter value is taken out only where it stands alone: as a part it may be of any word. */
const minLength = 6

/** Takes values that nobody may read out of what a provenance says. */
export interface Scrubber {
  /** Every text of a JSON value; names of members too. */
  scrub<T>(value: T): T
  /** The value of an argument or a variable: nothing of one that is called like a secret or is a proxy. */
  argument(name: string, value: string): string
}

/**
 * Knows the secrets of a build: values of arguments that are called like one, or have the form of one, and what proxies were
 * given. They are taken out wherever they stand: in commands, in labels, in the text of the Dockerfile. Credentials of URLs go in
 * any case.
 *
 * @see spec/security.md SEC-03
 */
export function createScrubber({
  buildArgs,
  graph,
  dockerfile,
}: Pick<BuildDescription, 'buildArgs' | 'graph' | 'dockerfile'>): Scrubber {
  const values = new Set<string>()
  const known = [...Object.entries(buildArgs), ...variablesOf(graph), ...declarationsOf(dockerfile)]
  for (const [name, value] of known) if (value !== '' && isHidden(name, value)) values.add(value)
  // A value may hold another one.
  const long = [...values].filter((value) => value.length >= minLength).sort((a, b) => b.length - a.length)
  const text = (given: string): string => {
    if (values.has(given)) return hidden
    let result = given
    for (const value of long) result = result.replaceAll(value, hidden)
    return redact(result)
  }
  const scrub = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value)
    if (Array.isArray(value)) return value.map(scrub)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [text(name), scrub(member)]))
  }
  return {
    scrub: <T>(value: T) => scrub(value) as T,
    argument: (name, value) => (value !== '' && isHidden(name, value) ? hidden : text(value)),
  }
}

function isHidden(name: string, value: string): boolean {
  return looksSecret(name) || isProxyArg(name) || isSecretValue(value)
}

/**
 * What the Dockerfile itself gives variables, whether a step sees it or not: a default is as secret as what is given in its place.
 * What is put together from other variables has no value of its own.
 */
function declarationsOf({
  name,
  text,
}: BuildDescription['dockerfile']): readonly (readonly [string, string])[] {
  return parsedOrNothing(text, name).flatMap((instruction) => {
    if (instruction.kind === 'env') return instruction.pairs.flatMap(({ key, value }) => written(key, value))
    if (instruction.kind !== 'arg') return []
    return instruction.args.flatMap(({ name: argument, value }) => written(argument, value ?? ''))
  })
}

/** In the text it stands with its quotes, in a step without them. */
function written(name: string, value: string): readonly (readonly [string, string])[] {
  if (value.includes('$')) return []
  const [, , inside = value] = /^(["'])(.*)\1$/s.exec(value) ?? []
  return [[name, inside]]
}

/** A Dockerfile that is built was parsed before. */
function parsedOrNothing(text: string, file: string): readonly Instruction[] {
  try {
    return parseDockerfile(text, file).instructions
  } catch {
    return []
  }
}

function variablesOf({ vertices }: Graph): readonly (readonly [name: string, value: string])[] {
  return vertices.flatMap(({ op }) => (op.kind === 'exec' ? op.env.map((entry) => splitVariable(entry)) : []))
}

/** `NAME=value`. */
export function splitVariable(entry: string): readonly [name: string, value: string] {
  const at = entry.indexOf('=')
  return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)]
}
