import { detectSyntax, judgeSyntax } from '@tsbuild/dockerfile'
import { UserError } from '@tsbuild/errors'
import type { FrontendWarning } from '@tsbuild/frontend'

/** See {@link judgeFrontend}. */
export interface FrontendRequest {
  /** The Dockerfile's, as its bytes were. */
  readonly text: string
  /** As shown to the user. */
  readonly file: string
  /** The build argument `BUILDKIT_SYNTAX`, which goes before `# syntax=`. */
  readonly override: string | undefined
  readonly warn: (warning: FrontendWarning) => void
}

/**
 * Looks which frontend a build asks for, before the text is parsed: it may be in another language. The standard Dockerfile
 * images are served by the built-in frontend; nothing is ever pulled or run for it.
 *
 * @throws {UserError} `ERR_UNSUPPORTED` for any other frontend
 * @see spec/dockerfile.md 1.1
 */
export function judgeFrontend({ text, file, override, warn }: FrontendRequest): void {
  const given = override === undefined || override === '' ? undefined : override
  const found = given === undefined ? detectSyntax(text) : null
  const image = given?.split(' ')[0] ?? found?.image
  if (image === undefined) return
  const source =
    found === null ? null : { file, startLine: found.line, startColumn: 0, endLine: found.line, endColumn: 0 }
  switch (judgeSyntax(image).kind) {
    case 'builtin':
    case 'standard':
      return
    case 'labs': {
      const message = `Frontend "${image}" has experimental instructions; those that the built-in frontend lacks are errors where they stand`
      warn({ rule: 'SyntaxLabs', message, source })
      return
    }
    case 'foreign':
      throw new UserError(
        'ERR_UNSUPPORTED',
        `Cannot use the frontend "${image}": only the standard Dockerfile frontend is built in, and the code of others is never run`,
        {
          ...(source === null ? {} : { source }),
          hints: [
            given === undefined
              ? 'If it is a Dockerfile, remove the line or write `# syntax=docker/dockerfile:1`.'
              : 'It is named by the build argument BUILDKIT_SYNTAX.',
          ],
        },
      )
  }
}
