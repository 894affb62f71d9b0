import { DIRECTIVE_NAMES, splitDirective } from './directives.ts'
import { splitLines, trimLineEnd } from './line-reader.ts'

/** The frontend that a build file asks for. */
export interface SyntaxRequest {
  /** An image reference, for example `docker/dockerfile:1`. */
  readonly image: string
  /** The whole value: the image and what follows it after a blank. */
  readonly value: string
  /** The line of the directive, counted from 1. */
  readonly line: number
}

function fromComments(lines: readonly string[], marker: '#' | '//'): Omit<SyntaxRequest, 'image'> | null {
  for (const [index, line] of lines.entries()) {
    const split = splitDirective(trimLineEnd(line), marker)
    if (split === null || !DIRECTIVE_NAMES.some((name) => name === split.name)) return null
    if (split.name === 'syntax') return { value: split.value, line: index + 1 }
  }
  return null
}

function fromJson(text: string): string | null {
  if (!text.trimStart().startsWith('{')) return null
  try {
    const value: unknown = JSON.parse(text)
    const syntax = typeof value === 'object' && value !== null && 'syntax' in value ? value.syntax : null
    return typeof syntax === 'string' ? syntax : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

/**
 * Finds which frontend a build file asks for, before anything of it is parsed, as it need not be a Dockerfile: `# syntax=`,
 * `// syntax=`, or a JSON object with the key `syntax`. A first line `#!` is skipped. Null when none is asked for.
 * The build argument `BUILDKIT_SYNTAX`, which goes before, is the caller's.
 *
 * @see spec/dockerfile.md 1.1
 */
export function detectSyntax(text: string): SyntaxRequest | null {
  const body = text.replace(/^\ufeff/, '')
  const lines = splitLines(body)
  const skipped = body.startsWith('#!') ? 1 : 0
  const rest = lines.slice(skipped)
  const json = fromJson(rest.join(''))
  const found =
    fromComments(rest, '#') ?? fromComments(rest, '//') ?? (json === null ? null : { value: json, line: 1 })
  if (found === null) return null
  return { ...found, line: found.line + skipped, image: found.value.split(' ')[0] ?? '' }
}

/** Which frontend a syntax value names, and what that means for the build. */
export type SyntaxJudgement =
  /** `dockerfile.v0`: the frontend that is part of the builder. */
  | { readonly kind: 'builtin' }
  /** The standard Dockerfile frontend, which the built-in one serves. Tag and digest as written; null when not given. */
  | { readonly kind: 'standard'; readonly tag: string | null; readonly digest: string | null }
  /** Its `labs` channel: experimental instructions that the built-in frontend may lack. */
  | { readonly kind: 'labs'; readonly tag: string; readonly digest: string | null }
  /** Anything else: another language, or a fork. Never run. */
  | { readonly kind: 'foreign' }

/** The repositories of the standard frontend, without the registry. */
const STANDARD_REPOSITORIES = ['docker/dockerfile', 'docker/dockerfile-upstream']

/** What Docker's hub may be called. */
const HUB = /^(?:index\.)?docker\.io\//

/** A name, `:tag` and `@digest` as image references have them. */
const REFERENCE = /^([a-z0-9]+(?:[._/-][a-z0-9]+)*)(?::(\w[\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/

/**
 * Judges the image that a syntax directive or `BUILDKIT_SYNTAX` names ({@link SyntaxRequest.image}). Nothing is looked up, pulled or
 * run: the built-in frontend serves the standard images of every version, and what it lacks is an error where it is used.
 *
 * @see spec/dockerfile.md 1.1
 */
export function judgeSyntax(image: string): SyntaxJudgement {
  if (image === 'dockerfile.v0') return { kind: 'builtin' }
  const [, name, tag = null, digest = null] = REFERENCE.exec(image) ?? []
  if (name === undefined || !STANDARD_REPOSITORIES.includes(name.replace(HUB, ''))) return { kind: 'foreign' }
  return tag !== null && /(?:^|-)labs$/.test(tag)
    ? { kind: 'labs', tag, digest }
    : { kind: 'standard', tag, digest }
}
