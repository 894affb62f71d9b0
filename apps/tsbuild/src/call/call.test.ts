import { readFileSync, writeFileSync } from 'node:fs'
import type { Builder, CheckReport, OutlineReport, TargetsReport } from '@tsbuild/builder'
import { UserError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { main } from '../main.ts'
import { memoryHost } from '../test-support/memory-host.ts'
import { callMethod, parseCallMethod } from './method.ts'

const text = 'FROM base AS Build\n# one\nWORKDIR app\nRUNN \x1b[31mmake\n'
const env = { TSBUILD_ROOT: '/store' }
const dockerfile = { file: 'Dockerfile', text }
const at = (line: number, start: number, end: number) =>
  ({ file: 'Dockerfile', startLine: line, startColumn: start, endLine: line, endColumn: end }) as const

const report: CheckReport = {
  dockerfile,
  warnings: [
    {
      rule: 'StageNameCasing',
      message: "Stage name 'Build' should be lowercase",
      source: at(1, 13, 18),
      summary: 'Stage names are in lower case',
      page: 'docs/reference/lint/StageNameCasing.md',
    },
    {
      rule: 'WorkdirRelativePath',
      message: 'Relative workdir "app" can have unexpected results if the base image changes',
      source: at(3, 8, 11),
      summary: 'The first WORKDIR of a stage is absolute',
      page: 'docs/reference/lint/WorkdirRelativePath.md',
    },
    { rule: 'SyntaxLabs', message: 'a notice that is no rule', source: null },
  ],
  error: new UserError('ERR_DOCKERFILE_UNKNOWN_INSTRUCTION', 'Cannot parse instruction "RUNN"', {
    source: at(4, 0, 4),
    hints: ['Did you mean `RUN`?'],
  }),
  unresolved: [{ reference: 'docker.io/library/base:latest', reason: 'Cannot reach the registry' }],
}

const clean: CheckReport = { dockerfile, warnings: [], error: undefined, unresolved: [] }

const outline: OutlineReport = {
  dockerfile,
  name: 'release',
  description: 'builds the image',
  args: [
    { name: 'VERSION', description: 'of the program', default: '1.0', value: '2.0', source: at(1, 0, 4) },
    { name: 'FLAG', description: undefined, default: undefined, value: undefined, source: at(3, 0, 4) },
  ],
  secrets: [{ id: 'token', required: true, source: at(4, 0, 3) }],
  ssh: [{ id: 'default', required: false, source: at(4, 0, 3) }],
}

const targets: TargetsReport = {
  dockerfile,
  targets: [
    {
      index: 0,
      name: 'build',
      base: 'debian:12',
      platform: undefined,
      description: 'compiles',
      default: false,
      source: at(1, 0, 4),
    },
    {
      index: 1,
      name: undefined,
      base: 'scratch',
      platform: 'linux/arm64',
      description: undefined,
      default: true,
      source: at(3, 0, 4),
    },
  ],
}

/** Runs the command over a builder that answers with the reports above. */
async function run(argv: readonly string[], checked: CheckReport = report) {
  const asked: unknown[] = []
  const answer =
    <T>(value: T): ((options: unknown) => Promise<T>) =>
    async (options) => {
      asked.push(options)
      return value
    }
  const builder: Partial<Builder> = {
    check: answer(checked),
    outline: answer(outline),
    targets: answer(targets),
  }
  const host = memoryHost({ builder, env })
  const code = await main(argv, host)
  return { code, out: host.out(), err: host.err(), asked }
}

function golden(name: string, got: string): void {
  const url = new URL(`../../testdata/call/${name}`, import.meta.url)
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(url, got)
  expect(got).toBe(readFileSync(url, 'utf8'))
}

describe('--check', () => {
  it('prints the findings with their lines and ends with 1 and no error text', async () => {
    const { code, out, err, asked } = await run(['--check', '--build-arg', 'A=1', '--target', 'x', '.'])
    golden('check.txt', out)
    expect(out).not.toContain('\x1b')
    expect(err).toBe('')
    expect(code).toBe(1)
    expect(asked).toMatchObject([{ context: '.', target: 'x', buildArgs: { A: '1' } }])
  })

  it('ends with 0 where there is nothing to find', async () => {
    expect(await run(['build', '--check=true', '.'], clean)).toMatchObject({
      code: 0,
      out: 'Check complete, no warnings found.\n',
    })
  })

  it('ends with 0 where a base could not be asked for', async () => {
    const { code, out } = await run(['--check', '.'], { ...clean, unresolved: report.unresolved })
    expect(code).toBe(0)
    expect(out).toContain('NOTE: The rules about the image docker.io/library/base:latest did not run')
  })

  it('ends with 1 for an error alone', async () => {
    const { code, out } = await run(['--check', '.'], { ...clean, error: report.error })
    expect(code).toBe(1)
    expect(out).toContain('Check complete, no warnings have been found, and an error!')
  })

  it('writes JSON as --call=check,format=json', async () => {
    const { code, out } = await run(['--call=check,format=json', '.'])
    golden('check.json', out)
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ format: 1, warnings: [{ ruleName: 'StageNameCasing' }, {}, {}] })
    const [source] = JSON.parse(out).sources
    expect(Buffer.from(source.data, 'base64').toString()).toBe(text)
  })

  it('takes the format from --call where both are given', async () => {
    expect((await run(['--check', '--call', 'lint,format=json', '.'])).out).toMatch(/^\{/)
  })
})

describe('--call', () => {
  it('prints an outline', async () => {
    const { code, out } = await run(['--call=outline', '.'])
    golden('outline.txt', out)
    expect(code).toBe(0)
  })

  it('leaves out the tables of an outline that are empty', async () => {
    const builder: Partial<Builder> = {
      outline: async () => ({
        ...outline,
        name: undefined,
        description: undefined,
        args: [],
        secrets: [],
        ssh: [],
      }),
    }
    const host = memoryHost({ builder, env })
    expect(await main(['--call=outline', '.'], host)).toBe(0)
    expect(host.out()).toBe('TARGET:   default\n')
  })

  it('keeps each value on its line', async () => {
    const arg = { name: 'A', description: undefined, default: undefined, source: at(1, 0, 1) }
    const builder: Partial<Builder> = {
      outline: async () => ({ ...outline, args: [{ ...arg, value: 'a\nb \x1b[31mred' }] }),
    }
    const host = memoryHost({ builder, env })
    await main(['--call=outline', '.'], host)
    expect(host.out()).toContain('A           a b red\n')
  })

  it('prints targets', async () => {
    golden('targets.txt', (await run(['--call', 'targets', '.'])).out)
  })

  it('writes JSON for outline and targets', async () => {
    golden('outline.json', (await run(['--call=outline,format=json', '.'])).out)
    golden('targets.json', (await run(['--call=targets,format=json', '.'])).out)
  })

  it('lists what can be asked for', async () => {
    const { code, out, asked } = await run(['--call=subrequests.describe', '.'])
    expect([code, asked]).toEqual([0, []])
    const names = out.split('\n').map((line) => line.split(' ')[0])
    expect(names).toEqual(['NAME', 'lint', 'outline', 'targets', 'subrequests.describe', ''])
    // Each of them can be asked for.
    for (const name of names.slice(1, -1)) expect(() => parseCallMethod(name ?? '')).not.toThrow()
    const json = await run(['--call=frontend.subrequests.describe,format=json', '.'])
    expect(JSON.parse(json.out)[1]).toMatchObject({ name: 'frontend.outline', version: '1.0.0', type: 'rpc' })
  })

  it.each(['describe', 'convertllb', 'check,format=xml', 'check,json', '"check'])(
    'refuses %j',
    async (value) => {
      const { code, err } = await run(['--call', value, '.'])
      expect(code).toBe(2)
      expect(err).toContain('[ERR_USAGE]')
    },
  )

  it('reports what keeps the Dockerfile from being read as any error', async () => {
    const builder: Partial<Builder> = {
      targets: async () => {
        throw new UserError('ERR_CONTEXT_NOT_FOUND', 'Cannot use the build context "x"')
      },
    }
    const host = memoryHost({ builder, env })
    expect(await main(['--call=targets', 'x'], host)).toBe(1)
    expect(host.err()).toContain('[ERR_CONTEXT_NOT_FOUND]')
  })

  it('is cancelled by a signal', async () => {
    let aborted = false
    const builder: Partial<Builder> = {
      check: ({ signal }) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => {
            aborted = true
            reject(new UserError('ERR_CANCELLED', 'The call was cancelled'))
          })
          host.signal()
        }),
    }
    const host = memoryHost({ builder, env })
    expect(await main(['--check', '.'], host)).toBe(130)
    expect(aborted).toBe(true)
  })
})

describe('parseCallMethod()', () => {
  it.each([
    ['check', { name: 'check', format: 'text' }],
    ['lint', { name: 'check', format: 'text' }],
    ['frontend.outline,format=json', { name: 'outline', format: 'json' }],
    ['targets,format=text', { name: 'targets', format: 'text' }],
  ])('reads %j', (value, method) => {
    expect(parseCallMethod(value)).toEqual(method)
  })
})

describe('callMethod()', () => {
  it('is none for a build', () => {
    expect(callMethod({})).toBeUndefined()
    expect(callMethod({ call: parseCallMethod('build') })).toBeUndefined()
  })

  it('refuses --check beside another method', () => {
    expect(() => callMethod({ check: true, call: parseCallMethod('targets') })).toThrow(
      expect.objectContaining({ code: 'ERR_USAGE' }),
    )
  })
})
