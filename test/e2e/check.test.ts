import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readEvents } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(() => {
  workspace = openWorkspace('check')
})
afterAll(() => workspace?.remove())

/** Nothing listens there. */
const unreachable = '127.0.0.1:9/base:1'

describe('--check', () => {
  it('lists findings over all stages with their lines, builds nothing and ends with 1', async () => {
    const context = workspace.context('findings', {
      Dockerfile: [
        'FROM scratch AS Build',
        'COPY secret $WHERE/',
        'FROM scratch as release',
        'WORKDIR app',
        'COPY --from=build / .',
      ].join('\n'),
      '.dockerignore': 'secret\n',
      secret: 'x',
    })
    const outcome = await workspace.tsbuild.run(['--check', '-t', 'app:1', '.'], { cwd: context })
    expect(outcome.stderr).toBe('')
    expect(outcome.stdout).toBe(
      [
        'Check complete, 5 warnings have been found!',
        '',
        'WARNING: StageNameCasing - docs/reference/lint/StageNameCasing.md',
        "Stage name 'Build' should be lowercase",
        'Dockerfile:1',
        '--------------------',
        '   1 | >>> FROM scratch AS Build',
        '   2 |     COPY secret $WHERE/',
        '   3 |     FROM scratch as release',
        '--------------------',
        '',
        'WARNING: CopyIgnoredFile - docs/reference/lint/CopyIgnoredFile.md',
        'Attempting to COPY file "secret" that is excluded by .dockerignore (.dockerignore:1)',
        'Dockerfile:2',
        '--------------------',
        '   1 |     FROM scratch AS Build',
        '   2 | >>> COPY secret $WHERE/',
        '   3 |     FROM scratch as release',
        '   4 |     WORKDIR app',
        '--------------------',
        '',
        'WARNING: UndefinedVar - docs/reference/lint/UndefinedVar.md',
        "Usage of undefined variable '$WHERE'",
        'Dockerfile:2',
        '--------------------',
        '   1 |     FROM scratch AS Build',
        '   2 | >>> COPY secret $WHERE/',
        '   3 |     FROM scratch as release',
        '   4 |     WORKDIR app',
        '--------------------',
        '',
        'WARNING: FromAsCasing - docs/reference/lint/FromAsCasing.md',
        "'as' and 'FROM' keywords' casing do not match",
        'Dockerfile:3',
        '--------------------',
        '   1 |     FROM scratch AS Build',
        '   2 |     COPY secret $WHERE/',
        '   3 | >>> FROM scratch as release',
        '   4 |     WORKDIR app',
        '   5 |     COPY --from=build / .',
        '--------------------',
        '',
        'WARNING: WorkdirRelativePath - docs/reference/lint/WorkdirRelativePath.md',
        'Relative workdir "app" can have unexpected results if the base image changes',
        'Dockerfile:4',
        '--------------------',
        '   2 |     COPY secret $WHERE/',
        '   3 |     FROM scratch as release',
        '   4 | >>> WORKDIR app',
        '   5 |     COPY --from=build / .',
        '--------------------',
        '',
      ].join('\n'),
    )
    expect(outcome.code).toBe(1)
    expect(await workspace.tsbuild.check(['images'])).not.toContain('app')
  })

  it('looks at the stages that a target needs, and ends with 0 where they are clean', async () => {
    const context = workspace.context('target', {
      Dockerfile: 'FROM scratch AS clean\nFROM scratch AS Dirty\n',
    })
    expect(await workspace.tsbuild.run(['--check', '--target', 'clean', context])).toMatchObject({
      code: 0,
      stdout: 'Check complete, no warnings found.\n',
      stderr: '',
    })
    expect(await workspace.tsbuild.run(['--check', context])).toMatchObject({ code: 1 })
  })

  it('shows the error of the build beside the findings, and ends with 1', async () => {
    const context = workspace.context('error', { Dockerfile: 'FROM scratch\nRUNN x\n' })
    const outcome = await workspace.tsbuild.run(['--check', context])
    expect(outcome).toMatchObject({ code: 1, stderr: '' })
    expect(outcome.stdout).toContain('ERROR: Cannot parse instruction "RUNN"')
    expect(outcome.stdout).toContain('   2 | >>> RUNN x')
    expect(outcome.stdout).toContain('Hint: Did you mean `RUN`?')
  })

  it('is no failure where a base cannot be asked for, and says so', async () => {
    const context = workspace.context('unreachable', { Dockerfile: `FROM ${unreachable}\nLABEL a=$A\n` })
    const outcome = await workspace.tsbuild.run(['--check', context])
    expect(outcome).toMatchObject({ code: 0, stderr: '' })
    expect(outcome.stdout).toContain(`NOTE: The rules about the image ${unreachable} did not run`)
  })

  it('obeys `# check=` and the build argument in its place', async () => {
    const context = workspace.context('control', { Dockerfile: '# check=skip=all\nFROM scratch AS A\n' })
    expect((await workspace.tsbuild.run(['--check', context])).code).toBe(0)
    const flags = ['--build-arg', 'BUILDKIT_DOCKERFILE_CHECK=skip=FromAsCasing']
    expect((await workspace.tsbuild.run(['--check', ...flags, context])).code).toBe(1)
  })

  it('reads the Dockerfile from standard input', async () => {
    const outcome = await workspace.tsbuild.run(['--check', '-'], { input: 'FROM scratch as a\n' })
    expect(outcome.code).toBe(1)
    expect(outcome.stdout).toContain('   1 | >>> FROM scratch as a')
  })

  it('is one JSON document as --call=check,format=json', async () => {
    const context = workspace.context('json', { Dockerfile: 'FROM scratch as a\n' })
    const outcome = await workspace.tsbuild.run(['--call=check,format=json', '.'], { cwd: context })
    expect(outcome).toMatchObject({ code: 1, stderr: '' })
    expect(JSON.parse(outcome.stdout)).toEqual({
      format: 1,
      warnings: [
        {
          ruleName: 'FromAsCasing',
          description: '`AS` is in the case of `FROM`',
          url: 'docs/reference/lint/FromAsCasing.md',
          detail: "'as' and 'FROM' keywords' casing do not match",
          location: { ranges: [{ start: { line: 1, character: 13 }, end: { line: 1, character: 15 } }] },
        },
      ],
      sources: [
        {
          filename: 'Dockerfile',
          language: 'Dockerfile',
          data: Buffer.from('FROM scratch as a\n').toString('base64'),
        },
      ],
      unresolved: [],
    })
  })
})

describe('--call', () => {
  const dockerfile = [
    '# VERSION of the program',
    'ARG VERSION=1.0',
    `FROM ${unreachable} AS build`,
    'ARG VERSION',
    'RUN --mount=type=secret,id=token,required make',
    '# release is what is shipped',
    'FROM scratch AS release',
    'COPY --from=build /out /',
  ].join('\n')

  it('outline and targets answer in tables, without a registry', async () => {
    const context = workspace.context('call', { Dockerfile: dockerfile })
    expect(await workspace.tsbuild.check(['--call=outline', '--build-arg', 'VERSION=2.0', context])).toBe(
      [
        'TARGET:        release',
        'DESCRIPTION:   is what is shipped',
        '',
        'BUILD ARG   VALUE   DEFAULT   DESCRIPTION',
        'VERSION     2.0     1.0       of the program',
        '',
        'SECRET   REQUIRED',
        'token    true',
        '',
      ].join('\n'),
    )
    expect(await workspace.tsbuild.check(['--call', 'targets', context])).toBe(
      [
        'TARGET              BASE                 DESCRIPTION',
        'build               127.0.0.1:9/base:1',
        'release (default)   scratch              is what is shipped',
        '',
      ].join('\n'),
    )
  })

  it('outline and targets answer in JSON', async () => {
    const context = workspace.context('call', { Dockerfile: dockerfile })
    const json = async (method: string) =>
      JSON.parse(await workspace.tsbuild.check([`--call=${method},format=json`, context]))
    expect(await json('outline')).toMatchObject({
      format: 1,
      name: 'release',
      args: [{ name: 'VERSION', value: '1.0', default: '1.0' }],
      secrets: [{ name: 'token', required: true }],
    })
    expect(await json('targets')).toMatchObject({
      format: 1,
      targets: [{ name: 'build' }, { name: 'release', default: true }],
    })
  })
})

describe('lint in a build', () => {
  it('warns of reachable stages, in a short list at the end', async () => {
    const context = workspace.context('build', {
      Dockerfile: 'FROM scratch AS Unused\nFROM scratch AS Used\nLABEL version=$VERSION\n',
    })
    const outcome = await workspace.tsbuild.run(['-o', 'type=cacheonly', '.'], { cwd: context })
    expect(outcome.code).toBe(0)
    expect(outcome.stderr).toContain(
      [
        '',
        ' 2 warnings found:',
        " - StageNameCasing: Stage name 'Used' should be lowercase (Dockerfile:2)",
        " - UndefinedVar: Usage of undefined variable '$VERSION' (Dockerfile:3)",
        ' `--check` shows the lines; docs/reference/lint/ has a page for each rule',
        '',
      ].join('\n'),
    )
    expect(outcome.stderr).not.toContain('Unused')
  })

  it('fails with error=true before anything runs', async () => {
    const context = workspace.context('strict', {
      Dockerfile: '# check=error=true\nFROM scratch AS A\nCOPY file /\nWORKDIR b\n',
      file: 'x',
    })
    const out = workspace.path('strict-out')
    const outcome = await workspace.tsbuild.run(['--progress', 'json', '-o', out, '.'], { cwd: context })
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toContain(
      'Cannot build "Dockerfile": lint violation found for rules: StageNameCasing, WorkdirRelativePath',
    )
    const events = readEvents(outcome.stderr)
    expect(events.at(-1)).toMatchObject({ type: 'build.failed', code: 'ERR_LINT' })
    expect(events.filter(({ type }) => type === 'warning')).toHaveLength(2)
    const names = events.flatMap((event) => (event.type === 'vertex.planned' ? [event.name] : []))
    expect(names.filter((name) => !name.startsWith('[internal]'))).toEqual([])
    expect(existsSync(out)).toBe(false)
  })
})
