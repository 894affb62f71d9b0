import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EnvironmentError, InternalError, UserError } from '@tsbuild/errors'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { reportError } from './report-error.ts'

let cwd = ''
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tsbuild-report-'))
  writeFileSync(
    join(cwd, 'Dockerfile'),
    '# syntax\nFROM debian:12\nRUNN apt-get update\nCOPY . .\r\n\nCMD ["x"]\n',
  )
})
afterAll(() => rmSync(cwd, { recursive: true, force: true }))

const at = (startLine: number, endLine = startLine, file = 'Dockerfile') => ({
  file,
  startLine,
  startColumn: 0,
  endLine,
  endColumn: 4,
})
const report = (error: unknown, debug = false): string =>
  reportError(error, { cwd, debug, program: 'tsbuild', version: '1.2.3' })

describe('reportError()', () => {
  it('shows what, where with the lines, and what to try', () => {
    const error = new UserError(
      'ERR_DOCKERFILE_UNKNOWN_INSTRUCTION',
      'Cannot parse instruction "RUNN": expected a Dockerfile instruction',
      { source: at(3), hints: ['Did you mean `RUN`?'] },
    )
    expect(
      report(error),
    ).toBe(`Error: Cannot parse instruction "RUNN": expected a Dockerfile instruction  [ERR_DOCKERFILE_UNKNOWN_INSTRUCTION]
Dockerfile:3
   1 |     # syntax
   2 |     FROM debian:12
   3 | >>> RUNN apt-get update
   4 |     COPY . .
   5 |
Hint: Did you mean \`RUN\`?
`)
  })

  it('shows control characters of names, lines and hints instead of writing them', () => {
    writeFileSync(join(cwd, 'Evil'), 'FROM a\x1b[31mb\x9b5m\n')
    const error = new UserError('ERR_COPY_SOURCE_NOT_FOUND', 'Cannot copy "a\x1b[2J\rb"', {
      source: at(1, 1, 'Evil'),
      hints: ['Try `\x07`.'],
      cause: new Error('\x1b]0;title'),
    })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(report(error)).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/)
    expect(report(error)).toContain('>>> FROM a\\x1b[31mb\\x9b5m')
  })

  it('takes credentials out of the lines of the Dockerfile', () => {
    writeFileSync(join(cwd, 'Url'), 'ADD https://u:CANARY@h/x?sig=CANARY /\n')
    const error = new UserError('ERR_HTTP_STATUS', 'x', { source: at(1, 1, 'Url') })
    expect(report(error)).toContain('>>> ADD https://***@h/x?sig=*** /')
  })

  it('shows the last output of a failed step without its escape sequences', () => {
    const error = new UserError('ERR_STEP_FAILED', 'Cannot run step "RUN make": it ended with exit code 2', {
      source: at(9, 9, 'gone/Dockerfile'),
      details: { exitCode: 2, lastLines: ['\x1b[31mcc\x1b[0m a.c', '10%\r99%', 'https://me:pw@host.test/'] },
    })
    expect(
      report(error),
    ).toBe(`Error: Cannot run step "RUN make": it ended with exit code 2  [ERR_STEP_FAILED]
gone/Dockerfile:9
Last output:
  | cc a.c
  | 99%
  | https://***@host.test/
`)
  })

  it('shows causes with their codes, without credentials, and not too deep', () => {
    const inner = new EnvironmentError('ERR_REGISTRY_STATUS', 'GET https://me:pw@host.test/v2/ gave 503')
    const error = new EnvironmentError('ERR_REGISTRY_UNREACHABLE', 'Cannot pull "a"', { cause: inner })
    expect(report(error)).toBe(`Error: Cannot pull "a"  [ERR_REGISTRY_UNREACHABLE]
Caused by: GET https://***@host.test/v2/ gave 503  [ERR_REGISTRY_STATUS]
`)
    const circle = new Error('round')
    circle.cause = new Error('about', { cause: circle })
    const round = report(new UserError('ERR_USAGE', 'x', { cause: circle }))
    expect(round.match(/Caused by/g)).toHaveLength(5)
    expect(report(new UserError('ERR_USAGE', 'x', { cause: 'text' }))).toContain('Caused by: text\n')
  })

  it('leaves out a cause that the message quotes, and keeps what caused it', () => {
    const deepest = new Error('the disk is gone')
    const quoted = new Error('no such file', { cause: deepest })
    const error = new EnvironmentError('ERR_OUTPUT', 'Cannot write "a": no such file', { cause: quoted })
    expect(report(error)).toBe(`Error: Cannot write "a": no such file  [ERR_OUTPUT]
Caused by: the disk is gone
`)
  })

  it('shows the stack and asks for a report when the bug is ours', () => {
    for (const error of [
      new InternalError('ERR_INTERNAL', 'Lost a vertex'),
      new TypeError('Lost a vertex'),
    ]) {
      const text = report(error)
      expect(text).toContain('Error: Lost a vertex  [ERR_INTERNAL]\n    at ')
      expect(text).toContain(
        'This is a bug of tsbuild. Please report it with the text above (tsbuild 1.2.3, Node.js ',
      )
    }
    expect(report('thrown text')).toContain('Error: thrown text  [ERR_INTERNAL]\n    (no stack)\n')
  })

  it('shows the stack of a user error only for --debug', () => {
    const error = new UserError('ERR_USAGE', 'x')
    expect(report(error)).not.toContain('    at ')
    expect(report(error, true)).toContain('    at ')
  })
})
