import type { FailedStep, ShellOptions } from '@tsbuild/builder'
import { describe, expect, it } from 'vitest'
import { main } from '../main.ts'
import { memoryHost } from '../test-support/memory-host.ts'

/** Runs the command over a builder whose shell ends with 42. */
async function run(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const calls: ShellOptions[] = []
  const shell = async (options: ShellOptions): Promise<number> => {
    calls.push(options)
    options.onNotice?.('The step had \x1b more')
    return 42
  }
  const host = memoryHost({ builder: { shell }, env: { HOME: '/h', ...env } })
  const code = await main(['shell', ...argv], host)
  return { code, calls, err: host.err() }
}

const plain = {
  when: 'after',
  secrets: {},
  ssh: {},
  allow: [],
  terminal: false,
  signals: expect.any(Function),
  onNotice: expect.any(Function),
  signal: expect.any(AbortSignal),
}

describe('tsbuild shell', () => {
  it.each<[readonly string[], object]>([
    [[], {}],
    [['--after'], {}],
    [['--before', 'abc'], { when: 'before', ref: 'abc' }],
    [['--', 'ls', '-l', '--', '--help'], { args: ['ls', '-l', '--', '--help'] }],
    [['abc', '--', 'sh'], { ref: 'abc', args: ['sh'] }],
    [
      ['--allow', 'network.host', '--allow=security.insecure'],
      { allow: ['network.host', 'security.insecure'] },
    ],
    [['--secret', 'id=a,env=A'], { secrets: { a: expect.any(Function) } }],
  ])('%j asks for a shell with %j, and ends as it ends', async (argv, asked) => {
    const { code, calls } = await run(argv, { A: 'x' })
    expect(calls).toEqual([{ ...plain, ...asked }])
    expect(code).toBe(42)
  })

  it('shows notices, and no order to the terminal', async () => {
    expect((await run([])).err).toBe('Note: The step had \\x1b more\n')
  })

  it.each<[readonly string[], string]>([
    [['--before', '--after'], 'Cannot use both --before and --after'],
    [['--'], 'expected a program after `--`'],
    [['--', ''], 'expected a program after `--`'],
    [['a', 'b'], 'it takes one argument'],
    [['--list', 'a'], 'Cannot use --list with'],
    [['--list', '--', 'ls'], 'Cannot use --list with'],
    [['--allow', 'all'], 'there is no such entitlement'],
    [['--format', 'xml'], 'expected one of "table", "json"'],
    [['--tty'], 'has no such flag'],
  ])('%j is refused', async (argv, text) => {
    const { code, calls, err } = await run(argv)
    expect([code, calls]).toEqual([2, []])
    expect(err).toContain(text)
  })

  it('--list shows the steps in a table whose rows nothing breaks, and as JSON', async () => {
    const source = { file: 'Dockerfile', startLine: 3, startColumn: 0, endLine: 4, endColumn: 2 }
    const at = 4_000
    const steps: readonly FailedStep[] = [
      {
        ref: 'a'.repeat(24),
        at,
        name: '[2/2] RUN <<EOF\n\x1b[31m',
        source,
        code: 'ERR_STEP_FAILED',
        exitCode: 2,
      },
      { ref: 'b'.repeat(24), at, name: 'x'.repeat(99), source: null, code: 'ERR_TIMEOUT', exitCode: null },
    ]
    const list = async (...argv: readonly string[]) => {
      const host = memoryHost({ builder: { failures: async () => steps }, env: { HOME: '/h' } })
      expect(await main(['shell', '--list', ...argv], host)).toBe(0)
      return host.out()
    }
    expect(await list()).toBe(
      [
        'BUILD                      FAILED         PLACE          EXIT CODE     STEP',
        `${'a'.repeat(24)}   1 second ago   Dockerfile:3   2             [2/2] RUN <<EOF \\x1b[31m`,
        `${'b'.repeat(24)}   1 second ago   -              ERR_TIMEOUT   ${'x'.repeat(59)}…`,
        '',
      ].join('\n'),
    )
    expect(JSON.parse(await list('--format', 'json'))).toEqual(steps)
  })
})
