import { type SourceRange, UserError } from '@tsbuild/errors'
import { trimSpace } from '../characters.ts'
import { splitDirective } from '../directives.ts'
import type { Dockerfile } from '../instruction.ts'

/** Which rules run, as `# check=` says. */
export interface CheckOptions {
  /** Rules that do not run; `all` for none at all (experimental ones still may). */
  readonly skip: ReadonlySet<string> | 'all'
  /** Experimental rules that run. */
  readonly experimental: ReadonlySet<string> | 'all'
  /** A finding fails the build. */
  readonly error: boolean
}

/** Those of a file that says nothing: every rule that is not experimental runs. */
export const noOptions: CheckOptions = { skip: new Set(), experimental: new Set(), error: false }
const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True']
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False']

function readRules(value: string): ReadonlySet<string> | 'all' {
  return value === 'all' ? 'all' : new Set(value.split(',').map(trimSpace))
}

/**
 * Reads the value of a `check` directive: `skip=A,B|all;error=true|false;experimental=X|all`. Nothing counts after a blank.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for an unknown option or a value that is no boolean
 * @see spec/dockerfile.md 1.1, 1.8
 */
export function parseCheckOptions(text: string, source?: SourceRange): CheckOptions {
  let options = noOptions
  const [words = ''] = text.split(' ')
  if (words === '') return options
  for (const part of words.split(';')) {
    const equals = part.indexOf('=')
    const name = trimSpace(equals === -1 ? part : part.slice(0, equals))
    const value = trimSpace(part.slice(equals + 1))
    if (equals !== -1 && name === 'skip') options = { ...options, skip: readRules(value) }
    else if (equals !== -1 && name === 'experimental')
      options = { ...options, experimental: readRules(value) }
    else if (equals !== -1 && name === 'error' && [...TRUE, ...FALSE].includes(value)) {
      options = { ...options, error: TRUE.includes(value) }
    } else {
      throw new UserError(
        'ERR_DOCKERFILE_SYNTAX',
        `Cannot read check options: invalid check option ${JSON.stringify(part)}`,
        {
          source,
          hints: ['Write `skip=RuleA,RuleB`, `error=true` or `experimental=RuleC`, with `;` between them.'],
        },
      )
    }
  }
  return options
}

/**
 * The check options of a file: those of `override` (the build argument `BUILDKIT_DOCKERFILE_CHECK`) when it is given, else of the
 * `check` directive.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX`
 */
export function checkOptionsOf(dockerfile: Dockerfile, override?: string): CheckOptions {
  if (override !== undefined) return parseCheckOptions(override)
  const directive = dockerfile.directives.find(({ name }) => name === 'check')
  return directive === undefined ? noOptions : parseCheckOptions(directive.value, directive.source)
}

/**
 * Adds what a `# check=` comment directly above an instruction says. A malformed one counts for nothing.
 */
export function withComments(options: CheckOptions, comments: readonly string[]): CheckOptions {
  const split = comments
    .map((comment) => splitDirective(`#${comment}`))
    .find((found) => found?.name === 'check')
  if (split === null || split === undefined) return options
  const skip = /(?:^|;)skip=([^; ]*)/.exec(split.value)?.[1]
  const experimental = /(?:^|;)experimental=([^; ]*)/.exec(split.value)?.[1]
  return {
    ...options,
    skip: skip === undefined ? options.skip : merge(options.skip, readRules(skip)),
    experimental:
      experimental === undefined
        ? options.experimental
        : merge(options.experimental, readRules(experimental)),
  }
}

function merge(a: CheckOptions['skip'], b: CheckOptions['skip']): CheckOptions['skip'] {
  return a === 'all' || b === 'all' ? 'all' : new Set([...a, ...b])
}
