import { UserError } from '@tsbuild/errors'
import type { Host } from '../host.ts'

const enter = ['\r', '\n']
const erase = ['\u007f', '\b']
const interrupt = '\u0003'
const endOfInput = '\u0004'

/**
 * Gets a password: COSIGN_PASSWORD, even an empty one; else it is asked for at the terminal, where nothing of it is shown; else
 * the first line of standard input.
 *
 * @throws {UserError} `ERR_CANCELLED` for Ctrl-C
 */
export async function askPassword(question: string, host: Host): Promise<string> {
  const { COSIGN_PASSWORD: given } = host.env
  if (given !== undefined) return given
  const { stdin, stderr } = host
  if (stdin.isTTY !== true || stdin.setRawMode === undefined) return await firstLine(stdin)
  stderr.write(question)
  stdin.setRawMode(true)
  try {
    return await typedLine(stdin)
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    stderr.write('\n')
  }
}

async function firstLine(stdin: Host['stdin']): Promise<string> {
  let text = ''
  for await (const chunk of stdin.setEncoding('utf8')) {
    text += chunk
    if (text.includes('\n')) break
  }
  return text.split(/\r?\n/, 1)[0] ?? ''
}

function typedLine(stdin: Host['stdin']): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed: readonly string[] = []
    const settle = (done: () => void) => {
      stdin.off('data', onData)
      stdin.off('end', onEnd)
      done()
    }
    const onEnd = () => settle(() => resolve(typed.join('')))
    const onData = (chunk: Buffer | string) => {
      for (const character of chunk.toString()) {
        if (enter.includes(character) || character === endOfInput) return onEnd()
        if (character === interrupt)
          return settle(() =>
            reject(new UserError('ERR_CANCELLED', 'No password was given: it was cancelled')),
          )
        typed = erase.includes(character) ? typed.slice(0, -1) : [...typed, character]
      }
    }
    stdin.on('data', onData)
    stdin.on('end', onEnd)
  })
}
