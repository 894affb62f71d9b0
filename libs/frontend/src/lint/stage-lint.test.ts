// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import type { RuntimeConfig } from '@tsbuild/oci'
import { describe, expect, it } from 'vitest'
import { type ConvertOptions, contextOf, convertText } from '../testing/convert-text.ts'
import type { FrontendWarning } from '../types.ts'

/** `rule: the text that its range covers` of each warning. */
async function found(text: string, options: ConvertOptions = {}): Promise<readonly string[]> {
  const { warnings } = await convertText(text, options)
  return warnings.map((warning) => `${warning.rule}: ${covered(text, warning)}`)
}

function covered(text: string, { source }: FrontendWarning): string {
  if (source === null) return '-'
  const lines = text.split('\n').slice(source.startLine - 1, source.endLine)
  lines[lines.length - 1] = lines.at(-1)?.slice(0, source.endColumn) ?? ''
  lines[0] = lines[0]?.slice(source.startColumn) ?? ''
  return lines.join('\n')
}

const messages = async (text: string, options?: ConvertOptions) =>
  (await convertText(text, options)).warnings.map(({ message }) => message)
const image = (config: RuntimeConfig) => ({ images: { app: { config } } })

describe('UndefinedVar', () => {
  it.each<[string, string]>([
    ['FROM scratch\nCOPY a /b$C', 'UndefinedVar: $C'],
    ['FROM scratch\nARG foo\nCOPY $Foo . ', 'UndefinedVar: $Foo'],
    ['FROM scratch\nENV A=1 \\\n  # $B\n  C="x${B}y"', 'UndefinedVar: ${B}'],
    ['FROM scratch\nENV A=1 B=$A', 'UndefinedVar: $A'],
    ['FROM scratch\nUSER ${U#x}', 'UndefinedVar: ${U#x}'],
    ['FROM scratch\nARG A=${B}', 'UndefinedVar: ${B}'],
    ['FROM base\nCOPY <<EOF /x\none\ntwo $two\nEOF', 'UndefinedVar: $two'],
    ['FROM scratch\nLABEL p=$TARGETPLATFORM', 'UndefinedVar: $TARGETPLATFORM'],
    ['ARG G=1\nFROM scratch\nLABEL g=$G', 'UndefinedVar: $G'],
    ['FROM scratch\nLABEL a=$A b=$A', 'UndefinedVar: $A'],
  ])('in %j covers %j', async (text, expected) => {
    expect(await found(text)).toEqual([expected])
  })

  it.each<[string, string]>([
    ['an ARG without a value', 'FROM scratch\nARG A\nLABEL a=$A'],
    ['an ARG of the stage below', 'FROM scratch AS b\nARG A=1\nENV E=2\nFROM b\nLABEL a=$A$E'],
    ['PATH, which is always set', 'FROM scratch\nENV PATH=/x:$PATH'],
    ['the environment of the image', 'FROM app\nLABEL v=$VERSION'],
    ['a default', 'FROM scratch\nLABEL a=${A:-1} b=${B+2} c=${C-}'],
    ['text in single quotes', "FROM scratch\nLABEL a='$A' b=\\$B"],
    ['a quoted heredoc', "FROM scratch\nCOPY <<'EOF' /x\n$host\nEOF"],
    ['the shell of RUN', 'FROM base\nRUN echo $HOME $X'],
    ['a proxy', 'FROM scratch\nLABEL a=$http_proxy'],
    ['a trigger of the base', 'FROM trigger'],
  ])('is content with %s', async (_, text) => {
    const images = {
      app: { config: { env: ['VERSION=1'] } },
      trigger: { config: { onBuild: ['LABEL a=$A', 'WORKDIR b'] } },
    }
    expect(await found(text, { images })).toEqual([])
  })

  it('suggests a name that is close', async () => {
    expect(await messages('FROM scratch\nARG VERSION=1\nLABEL v=$VERSIN')).toEqual([
      "Usage of undefined variable '$VERSIN' (did you mean $VERSION?)",
    ])
    expect(await messages('FROM scratch\nLABEL v=$SOMETHING')).toEqual([
      "Usage of undefined variable '$SOMETHING'",
    ])
  })
})

describe('WorkdirRelativePath', () => {
  it.each<[string, string]>([
    ['FROM scratch\nWORKDIR  app/src', 'WorkdirRelativePath: app/src'],
    ['FROM app\nENV D=src\nWORKDIR $D', 'WorkdirRelativePath: $D'],
    ['FROM scratch\nWORKDIR a\nWORKDIR b', 'WorkdirRelativePath: a'],
  ])('in %j covers %j, whatever the WORKDIR of the image', async (text, expected) => {
    expect(await found(text, image({ workingDir: '/srv' }))).toEqual([expected])
  })

  it.each([
    'FROM scratch\nWORKDIR /a\nWORKDIR b',
    'FROM scratch AS one\nWORKDIR /a\nFROM one\nWORKDIR b',
    'FROM app\nWORKDIR $HOME',
  ])('is content with %j', async (text) => {
    expect(await found(text, image({ env: ['HOME=/root'] }))).toEqual([])
  })
})

describe('CopyIgnoredFile', () => {
  const context = contextOf({
    hiddenBy: async (path) => (path === 'secret.txt' ? '.dockerignore:3' : undefined),
  })
  const text = '# check=error=true\nFROM base\nCOPY a secret.txt b* /\n'

  it('covers the source that is hidden, before anything runs', async () => {
    const warnings: FrontendWarning[] = []
    await expect(convertText(text, { context }, warnings)).rejects.toMatchObject({ code: 'ERR_LINT' })
    expect(warnings.map((warning) => `${warning.rule}: ${covered(text, warning)}`)).toEqual([
      'CopyIgnoredFile: secret.txt',
    ])
    expect(warnings[0]?.message).toBe(
      'Attempting to COPY file "secret.txt" that is excluded by .dockerignore (.dockerignore:3)',
    )
  })

  it('asks nothing in a build that it would not stop: the step says it itself', async () => {
    const asked: string[] = []
    const hiddenBy = async (path: string) => void asked.push(path)
    await convertText('FROM base\nCOPY secret.txt /', { context: contextOf({ hiddenBy }) })
    expect(asked).toEqual([])
  })

  it('asks for what comes out of the context, variables expanded', async () => {
    const asked: string[] = []
    const hiddenBy = async (path: string) => void asked.push(path)
    const text = [
      '# check=error=true',
      'FROM base AS other',
      'FROM base',
      'ENV A=x',
      'COPY $A/y *.z /',
      'COPY --from=other secret.txt /',
      'COPY <<EOF /there',
      'EOF',
    ].join('\n')
    await convertText(text, { context: contextOf({ hiddenBy }) })
    expect(asked).toEqual(['x/y'])
  })
})

describe('InvalidBaseImagePlatform', () => {
  it('covers the image that is of another platform than asked for', async () => {
    const text = 'FROM arm'
    const images = { arm: { platform: { os: 'linux', architecture: 'arm64' } } }
    expect(await found(text, { images })).toEqual(['InvalidBaseImagePlatform: arm'])
    expect(await messages(text, { images })).toEqual([
      'Base image arm was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
    ])
  })

  it('is content with an image that does not say its variant', async () => {
    const images = { arm: { platform: { os: 'linux', architecture: 'arm' } } }
    const platform = { os: 'linux', architecture: 'arm', variant: 'v7' }
    expect(await found('FROM arm', { images, platform })).toEqual([])
  })
})

describe('InvalidDefaultArgInFrom', () => {
  it.each<[string, string]>([
    ['ARG BASE\nFROM $BASE', 'InvalidDefaultArgInFrom: $BASE'],
    ['ARG TAG\nFROM base:${TAG} AS b', 'InvalidDefaultArgInFrom: base:${TAG}'],
    ['ARG TAG=1:2\nFROM base:$TAG', 'InvalidDefaultArgInFrom: base:$TAG'],
  ])('in %j covers %j', async (text, expected) => {
    const buildArgs = { BASE: 'base', TAG: '1', BUILDKIT_DOCKERFILE_CHECK: 'skip=UnusedBuildArg' }
    const images = { 'base:1': {} }
    expect(await found(text, { buildArgs, images })).toEqual([expected])
  })

  it.each([
    'ARG BASE=base\nFROM $BASE',
    'ARG BASE\nFROM ${BASE:-base}',
    'ARG BASE\nFROM ${BASE:?needed}',
    'ARG BASE=one\nFROM base AS one\nFROM $BASE',
    'ARG BASE=scratch\nFROM $BASE',
    'FROM x$TARGETARCH',
  ])('is content with %j', async (text) => {
    const buildArgs = { BASE: 'base', BUILDKIT_DOCKERFILE_CHECK: 'skip=UnusedBuildArg' }
    expect(await found(text, { buildArgs, images: { xamd64: {} } })).toEqual([])
  })
})

describe('FloatingBaseTag', () => {
  const experimental = { BUILDKIT_DOCKERFILE_CHECK: 'experimental=FloatingBaseTag' }
  const images = { 'base:latest': {}, 'base:1': {}, other: {} }
  it.each(['FROM base', 'FROM base:latest', 'ARG B=base\nFROM $B'])('finds %j', async (text) => {
    const rules = await found(text, { buildArgs: experimental, images })
    expect(rules.map((rule) => rule.split(':')[0])).toEqual(['FloatingBaseTag'])
  })

  it.each(['FROM base:1', 'FROM scratch', 'FROM base:1 AS b\nFROM b'])('is content with %j', async (text) => {
    expect(await found(text, { buildArgs: experimental, images })).toEqual([])
  })

  it('runs only where it is asked for', async () => {
    expect(await found('FROM base')).toEqual([])
  })
})

describe('lint in a build', () => {
  it('knows the SHELL of the base image', async () => {
    const text = 'FROM app\nCMD run it'
    expect(await found(text, image({}))).toEqual(['JSONArgsRecommended: run it'])
    expect(await found(text, image({ shell: ['/bin/bash', '-c'] }))).toEqual([])
  })

  it('is about reachable stages only', async () => {
    const text = 'FROM scratch AS One\nWORKDIR a\nFROM base as two'
    expect(await found(text)).toEqual(['FromAsCasing: as'])
    expect(await found(text, { target: 'one' })).toEqual(['StageNameCasing: One', 'WorkdirRelativePath: a'])
  })

  it('obeys `# check=skip=Rule` of the file, above an instruction and of the build argument', async () => {
    const text = 'FROM scratch\n# check=skip=UndefinedVar\nLABEL a=$A\nLABEL b=$B'
    expect(await found(text)).toEqual(['UndefinedVar: $B'])
    expect(await found(`# check=skip=UndefinedVar\n${text}`)).toEqual([])
    const buildArgs = { BUILDKIT_DOCKERFILE_CHECK: 'skip=UndefinedVar' }
    expect(await found(`# check=skip=all\n${text}\nWORKDIR a`, { buildArgs })).toEqual([
      'WorkdirRelativePath: a',
    ])
  })

  it('tells that a name in the check options is no rule, which is no finding', async () => {
    const text =
      '# check=skip=FromAsCassing,all,StageNameCasing;error=true\nFROM scratch\n# check=skip=X\nLABEL a=b'
    const { warnings } = await convertText(text)
    expect(warnings).toMatchObject([
      {
        rule: 'UnknownLintRule',
        message: 'The check options name "FromAsCassing", which is no rule. Did you mean `FromAsCasing`?',
        source: { startLine: 1 },
      },
      {
        rule: 'UnknownLintRule',
        message: 'The check options name "X", which is no rule.',
        source: { startLine: 4 },
      },
    ])
  })

  it('fails with error=true: lint violation found for rules: A, B', async () => {
    const warnings: FrontendWarning[] = []
    const text = '# check=error=true\nFROM scratch AS A\nWORKDIR b\nLABEL c=$C d=$D'
    await expect(convertText(text, {}, warnings)).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_LINT',
      message:
        'Cannot build "Dockerfile": lint violation found for rules: StageNameCasing, WorkdirRelativePath, UndefinedVar',
    })
    expect(warnings).toHaveLength(4)
  })

  it('passes with error=true when there is nothing to find', async () => {
    expect(await found('# check=error=true\nFROM scratch')).toEqual([])
  })

  it('says what it found also when the build fails, since that may be why', async () => {
    const warnings: FrontendWarning[] = []
    await expect(convertText('ARG Base=base\nFROM $base', {}, warnings)).rejects.toMatchObject({
      code: 'ERR_REFERENCE_INVALID',
    })
    expect(warnings).toMatchObject([
      { rule: 'UndefinedArgInFrom', message: "FROM argument 'base' is not declared (did you mean Base?)" },
    ])
  })
})
