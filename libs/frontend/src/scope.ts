import type { EscapeToken } from '@tsbuild/dockerfile'
import { type Environment, type ExpandOptions, expand, expandHeredoc, expandWords } from '@tsbuild/dockerfile'
import type { SourceRange } from '@tsbuild/errors'
import { formatPlatform, type Platform } from '@tsbuild/oci'
import type { UnknownName } from './lint/observer.ts'

/** Names that need no ARG. Both cases are given to RUN. @see spec/dockerfile.md 1.4 */
const proxyNames = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY']

/** The variables of a stage: what its words expand to and what its RUN steps get. The later instruction wins. */
export interface Scope {
  /** `NAME=value` in order of first appearance. */
  environment(): readonly string[]
  /** Declared ARGs as `NAME=value` with what RUN sees, which may be the value of an ENV; for the history of RUN. */
  args(): readonly string[]
  setEnv(name: string, value: string): void
  /** @param value undefined declares without a value */
  setArg(name: string, value: string | undefined): void
  expand(word: string, source: SourceRange): string
  expandWords(word: string, source: SourceRange): readonly string[]
  expandHeredoc(body: string, source: SourceRange): string
}

/** Starts the scope of a stage from that of its base: an image's environment, or all that an earlier stage knows. */
export function createScope(
  base: Pick<Scope, 'environment' | 'args'>,
  escapeToken: EscapeToken,
  onUnknown: (use: UnknownName) => void = () => {},
): Scope {
  const values = new Map(base.environment().map(splitAssignment))
  const args = new Set(base.args().map((assignment) => splitAssignment(assignment)[0]))
  const lookUp: Environment = (name) => values.get(name)
  const how = (source: SourceRange): ExpandOptions => ({
    escape: escapeToken,
    source,
    onName(name, found) {
      if (!found && !args.has(name)) onUnknown({ name, source, known: () => [...values.keys(), ...args] })
    },
  })
  return {
    environment: () => [...values].map(([name, value]) => `${name}=${value}`),
    args: () => [...args].map((name) => `${name}=${values.get(name) ?? ''}`),
    setEnv: (name, value) => void values.set(name, value),
    setArg(name, value) {
      if (value === undefined) return
      values.set(name, value)
      args.add(name)
    },
    expand: (word, source) => expand(word, lookUp, how(source)),
    expandWords: (word, source) => expandWords(word, lookUp, how(source)),
    expandHeredoc: (body, source) => expandHeredoc(body, lookUp, how(source)),
  }
}

/** Splits `NAME=value`; a text without `=` is a name with an empty value. */
export function splitAssignment(text: string): readonly [name: string, value: string] {
  const at = text.indexOf('=')
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

/** The platform arguments of the global scope. @see spec/dockerfile.md 1.4 */
export function platformArgs(target: Platform, build: Platform): ReadonlyMap<string, string> {
  const args = new Map<string, string>()
  for (const [prefix, platform] of [
    ['TARGET', target],
    ['BUILD', build],
  ] as const) {
    args.set(`${prefix}PLATFORM`, formatPlatform(platform))
    args.set(`${prefix}OS`, platform.os)
    args.set(`${prefix}ARCH`, platform.architecture)
    args.set(`${prefix}VARIANT`, platform.variant ?? '')
    args.set(`${prefix}OSVERSION`, platform.osVersion ?? '')
  }
  return args
}

/** A build argument as given; undefined when it is not, whatever its name is (`constructor`). */
export function buildArgOf(buildArgs: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(buildArgs, name) ? buildArgs[name] : undefined
}

/** The proxy variables among build arguments, in both cases. A step that declares one gets its own value in that place. */
export function proxyEnvironment(buildArgs: Readonly<Record<string, string>>): readonly string[] {
  const result: string[] = []
  for (const name of proxyNames) {
    const value = buildArgs[name] ?? buildArgs[name.toLowerCase()]
    if (value === undefined) continue
    result.push(`${name}=${value}`, `${name.toLowerCase()}=${value}`)
  }
  return result
}
