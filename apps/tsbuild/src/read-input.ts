import { UserError } from '@tsbuild/errors'
import type { Host } from './host.ts'

const maxInputBytes = 64 * 1024
const [interrupt, endOfFile, backspace, erase] = ['\u0003', '\u0004', '\b', '\u007f']

/** Reads standard input to its end, without one line break there. @throws {UserError} `ERR_USAGE` if it is longer than 64 KiB */
export async function readAll(stdin: Host['stdin']): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk)
    length += bytes.length
    if (length > maxInputBytes) {
      throw new UserError('ERR_USAGE', `Cannot read standard input: it is longer than ${maxInputBytes} bytes`)
    }
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
    .toString()
    .replace(/\r?\n$/, '')
}

/**
 * Asks a question on the terminal and reads one line. What is typed is shown, unless it is a secret.
 *
 * @throws {UserError} `ERR_CANCELLED` for Ctrl-C, and where the terminal ends
 */
export async function ask(host: Host, question: string, secret: boolean): Promise<string> {
  const { stdin, stderr } = host
  stderr.write(question)
  stdin.setRawMode?.(true)
  let line = ''
  try {
    for (;;) {
      const keys = [...(await nextKeys(stdin))]
      for (const [index, key] of keys.entries()) {
        if (key === '\r' || key === '\n') {
          const rest = keys.slice(index + 1).join('')
          if (rest !== '') stdin.unshift(Buffer.from(rest))
          return line
        }
        if (key === interrupt || (key === endOfFile && line === '')) throw cancelled(question)
        if (key === backspace || key === erase) {
          if (line !== '' && !secret) stderr.write('\b \b')
          line = line.slice(0, -1)
        } else if (key >= ' ') {
          line += key
          if (!secret) stderr.write(key)
        }
      }
    }
  } finally {
    stdin.setRawMode?.(false)
    stderr.write('\n')
  }
}

/** What was typed since the last time. Between two calls the stream stands still, and nothing is lost. */
function nextKeys(stdin: Host['stdin']): Promise<string> {
  return new Promise((resolve, reject) => {
    const done = () => {
      stdin.pause()
      stdin.off('data', take)
      stdin.off('end', end)
    }
    const take = (chunk: Buffer | string) => {
      done()
      resolve(chunk.toString())
    }
    const end = () => {
      done()
      reject(cancelled('an answer: '))
    }
    stdin.once('data', take)
    stdin.once('end', end)
    stdin.resume()
  })
}

function cancelled(question: string): UserError {
  const what = question.replace(/:\s*$/, '')
  return new UserError(
    'ERR_CANCELLED',
    `Cannot read ${what.charAt(0).toLowerCase()}${what.slice(1)}: it was cancelled`,
  )
}
