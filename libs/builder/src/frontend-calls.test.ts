import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { BuildEvent } from '@tsbuild/events'
import { realHelper } from '@tsbuild/native/testing'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Builder, build, createBuilder } from './index.ts'

let cwd: string
beforeEach(() => {
  cwd = temporaryDirectory()
  mkdirSync(join(cwd, 'context'))
})

const options = (helperPath = '/nowhere/tsbuild-helper') =>
  ({
    root: join(cwd, 'store'),
    helperPath,
    durability: 'none',
    cwd,
    context: 'context',
    // Nothing is counted at the end of a build.
    space: { maxUsed: 'unlimited', minFree: 'unlimited' },
  }) as const
const write = (name: string, text: string) => writeFileSync(join(cwd, 'context', name), text)

async function using<T>(body: (builder: Builder) => Promise<T>, helperPath?: string): Promise<T> {
  const builder = await createBuilder(options(helperPath))
  try {
    return await body(builder)
  } finally {
    await builder.close()
  }
}

/** Nothing listens there: a base of it cannot be asked for. */
const unreachable = '127.0.0.1:9/base:1'

describe('Builder.check()', () => {
  it('gives findings with their pages and the text that they are about', async () => {
    write('Dockerfile', 'FROM scratch AS Build\nCOPY $x /\n')
    const report = await using((builder) => builder.check(options()))
    expect(report).toMatchObject({
      dockerfile: { file: 'context/Dockerfile', text: 'FROM scratch AS Build\nCOPY $x /\n' },
      warnings: [
        {
          rule: 'StageNameCasing',
          page: 'docs/reference/lint/StageNameCasing.md',
          summary: 'Stage names are in lower case',
          source: { file: 'context/Dockerfile', startLine: 1, startColumn: 16, endColumn: 21 },
        },
        { rule: 'UndefinedVar', source: { startLine: 2, startColumn: 5 } },
      ],
      error: undefined,
      unresolved: [],
    })
  })

  it('gives what is wrong in the Dockerfile as its error', async () => {
    write('Dockerfile', 'FROM scratch\nRUNN x\n')
    const report = await using((builder) => builder.check(options()))
    expect(report).toMatchObject({
      warnings: [],
      error: { code: 'ERR_DOCKERFILE_UNKNOWN_INSTRUCTION', source: { startLine: 2 } },
    })
  })

  it('does not fail by a registry that cannot be reached, and says so once', async () => {
    write('Dockerfile', `FROM ${unreachable} AS A\nLABEL b=$C\nFROM ${unreachable}\nWORKDIR x\n`)
    const report = await using((builder) => builder.check(options()))
    expect(report.error).toBeUndefined()
    expect(report.unresolved).toMatchObject([{ reference: unreachable }])
    expect(report.warnings.map(({ rule }) => rule)).toEqual(['StageNameCasing', 'WorkdirRelativePath'])
  })

  it('finds what .dockerignore hides: CopyIgnoredFile', async (test) => {
    const helper = realHelper(test)
    write('Dockerfile', 'FROM scratch\nCOPY kept /\nCOPY secret dir/x /\n')
    write('.dockerignore', '# comment\nsecret\ndir\n!dir/x\n')
    for (const name of ['kept', 'secret']) write(name, name)
    mkdirSync(join(cwd, 'context/dir'))
    write('dir/x', 'x')
    const report = await using((builder) => builder.check(options()), helper.helperPath)
    expect(report.warnings).toMatchObject([
      {
        rule: 'CopyIgnoredFile',
        message:
          'Attempting to COPY file "secret" that is excluded by .dockerignore (context/.dockerignore:2)',
        source: { startLine: 3, startColumn: 5, endColumn: 11 },
      },
    ])
  })

  it('reads a Dockerfile from standard input', async (test) => {
    const helper = realHelper(test)
    const stdin = Readable.from([Buffer.from('FROM scratch as x\n')])
    const ask = (builder: Builder) => builder.check({ ...options(), context: '-', stdin })
    const report = await using(ask, helper.helperPath)
    expect(report.warnings).toMatchObject([{ rule: 'FromAsCasing', source: { file: 'Dockerfile' } }])
  })

  it('throws for a target and a context that are not there, and where it is cancelled', async () => {
    write('Dockerfile', 'FROM scratch\n')
    await using(async (builder) => {
      const code = (value: string) => expect.objectContaining({ code: value })
      await expect(builder.check({ ...options(), target: 'x' })).rejects.toEqual(
        code('ERR_DOCKERFILE_STAGE_NOT_FOUND'),
      )
      await expect(builder.check({ ...options(), context: 'x' })).rejects.toEqual(
        code('ERR_CONTEXT_NOT_FOUND'),
      )
      await expect(builder.check({ ...options(), signal: AbortSignal.abort() })).rejects.toEqual(
        code('ERR_CANCELLED'),
      )
    })
  })
})

describe('Builder.outline() and Builder.targets()', () => {
  it('answer without a registry', async () => {
    write(
      'Dockerfile',
      `# A of it\nARG A=1\nFROM ${unreachable} AS one\nARG A\nRUN --mount=type=secret,id=s,required x\n# two\nFROM one AS two\n`,
    )
    await using(async (builder) => {
      expect(await builder.outline({ ...options(), buildArgs: { A: '2' } })).toMatchObject({
        name: 'two',
        args: [{ name: 'A', value: '2', default: '1', description: 'of it' }],
        secrets: [{ id: 's', required: true }],
        ssh: [],
      })
      expect((await builder.targets(options())).targets).toMatchObject([
        { name: 'one', base: unreachable, default: false },
        { name: 'two', base: 'one', default: true },
      ])
    })
  })

  it('throw for a Dockerfile that cannot be parsed, with its text', async () => {
    write('Dockerfile', 'FROM scratch\nRUNN x\n')
    await using(async (builder) => {
      const failure = {
        code: 'ERR_DOCKERFILE_UNKNOWN_INSTRUCTION',
        details: { sourceText: 'FROM scratch\nRUNN x\n' },
      }
      await expect(builder.outline(options())).rejects.toMatchObject(failure)
      await expect(builder.targets(options())).rejects.toMatchObject(failure)
    })
  })
})

describe('build() and lint', () => {
  async function events(text: string): Promise<readonly BuildEvent[]> {
    write('Dockerfile', text)
    const handle = build({ ...options(), outputs: [{ type: 'cacheonly' }] })
    handle.result.catch(() => {})
    const seen: BuildEvent[] = []
    for await (const event of handle.events) seen.push(event)
    return seen
  }

  it('tells findings over reachable stages as warnings, each once', async () => {
    const seen = await events('FROM scratch AS Unused\nFROM scratch AS Used\nENV a \\\n\n b\n')
    expect(seen.filter(({ type }) => type === 'warning')).toMatchObject([
      {
        rule: 'StageNameCasing',
        source: { startLine: 2 },
        summary: 'Stage names are in lower case',
        page: 'docs/reference/lint/StageNameCasing.md',
      },
      { rule: 'LegacyKeyValueFormat' },
      { rule: 'NoEmptyContinuation', source: { startLine: 4 } },
    ])
    expect(seen.at(-1)?.type).toBe('build.completed')
  })

  it('fails with error=true before anything runs', async () => {
    write('a', 'a')
    const seen = await events('# check=error=true\nFROM scratch AS Used\nCOPY a /\n')
    expect(seen.at(-1)).toMatchObject({
      type: 'build.failed',
      code: 'ERR_LINT',
      message: 'Cannot build "context/Dockerfile": lint violation found for rules: StageNameCasing',
    })
    const names = seen.flatMap((event) => (event.type === 'vertex.planned' ? [event.name] : []))
    expect(names.filter((name) => !name.startsWith('[internal]'))).toEqual([])
  })
})
