import { UserError } from '@tsbuild/errors'
import { maxTokenLength } from '@tsbuild/trust'
import type { Host } from '../host.ts'

/** A token of the command line, else of standard input. @throws {UserError} `ERR_USAGE` where there is none, or one longer than tokens are */
export async function readToken(given: string | undefined, host: Pick<Host, 'stdin'>): Promise<string> {
  if (given !== undefined && given !== '-') return given.trim()
  let text = ''
  for await (const part of host.stdin) {
    text += String(part)
    if (text.length > maxTokenLength)
      throw new UserError('ERR_USAGE', `Cannot read the token: it is longer than ${maxTokenLength} bytes`)
  }
  const token = text.trim()
  if (token !== '') return token
  throw new UserError('ERR_USAGE', 'Cannot read the token: there is none', {
    hints: ['Give it as the argument, or on standard input.'],
  })
}
