import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { builderArgs } from '@tsbuild/dockerfile'
import { describe, expect, it } from 'vitest'
import { convertText, execsOf, historyOf } from './testing/convert-text.ts'

/** Where not every value will do. */
const values: Readonly<Record<string, string>> = {
  SOURCE_DATE_EPOCH: '1',
  BUILDKIT_DOCKERFILE_CHECK: 'skip=all',
}

const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

describe('toGraph() and build arguments of the builder', () => {
  it.each(builderArgs.map((name) => [name]))('%s is known and described', async (name) => {
    const value = values[name] ?? 'x'
    const result = await convertText('FROM base\nRUN x\n', { buildArgs: { [name]: value } })
    expect(result.warnings.filter(({ rule }) => rule !== 'BuildArgWithoutEffect')).toEqual([])
    expect(execsOf(result)[0]?.env).toEqual([path])
    const page = fileURLToPath(new URL('../../../docs/reference/build-args.md', import.meta.url))
    expect(readFileSync(page, 'utf8')).toMatch(new RegExp(`^\\| \`${name}\` \\|`, 'm'))
  })

  it.each(['BUILDKIT_BUILD_NAME', 'BUILDKIT_MULTI_PLATFORM'])(
    '%s is warned of: it has no effect yet',
    async (name) => {
      const warningsOf = async (value: string) =>
        (await convertText('FROM base\n', { buildArgs: { [name]: value } })).warnings
      const message = expect.stringMatching(new RegExp(`"${name}" has no effect yet: `))
      expect(await warningsOf('1')).toEqual([{ rule: 'BuildArgWithoutEffect', message, source: null }])
      for (const value of ['', '0', 'false']) expect(await warningsOf(value)).toEqual([])
    },
  )

  it('a name like those of the builder is warned of', async () => {
    const result = await convertText('FROM base\n', { buildArgs: { BUILDKIT_SANDBOX_HOST: 'x' } })
    expect(result.warnings).toMatchObject([{ rule: 'UnusedBuildArg' }])
  })

  it('BUILDKIT_SANDBOX_HOSTNAME is the host name of every RUN', async () => {
    const buildArgs = { BUILDKIT_SANDBOX_HOSTNAME: 'ci-1.example' }
    const result = await convertText('FROM base\nRUN a\nRUN b\n', { buildArgs })
    expect(execsOf(result).map(({ hostname }) => hostname)).toEqual(['ci-1.example', 'ci-1.example'])
    const empty = await convertText('FROM base\nRUN a\n', { buildArgs: { BUILDKIT_SANDBOX_HOSTNAME: '' } })
    expect(execsOf(empty)[0]?.hostname).toBe('buildkitsandbox')
  })

  it.each(['a b', '-a', 'a\n127.0.0.1 b', 'a'.repeat(65), 'é'])(
    'BUILDKIT_SANDBOX_HOSTNAME %j is refused',
    async (hostname) => {
      const buildArgs = { BUILDKIT_SANDBOX_HOSTNAME: hostname }
      await expect(convertText('FROM base\n', { buildArgs })).rejects.toMatchObject({ code: 'ERR_USAGE' })
    },
  )

  it.each(['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE'])(
    'ARG %s is not put into the environment',
    async (name) => {
      const result = await convertText(`FROM base AS a\nARG ${name}=true\nRUN x\nFROM a\nRUN y\n`)
      expect(execsOf(result).map(({ env }) => env)).toEqual([[path], [path]])
      expect(historyOf(result).filter((entry) => entry.startsWith('RUN'))).toEqual([
        `RUN |1 ${name}=true /bin/sh -c x # buildkit`,
        `RUN |1 ${name}=true /bin/sh -c y # buildkit`,
      ])
    },
  )
})

describe('toGraph() and proxies', () => {
  const proxies = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY']

  it.each(proxies.flatMap((name) => [[name], [name.toLowerCase()]]))(
    '%s needs no ARG, is given to RUN in both cases, and stands in no step and no history',
    async (name) => {
      const result = await convertText('FROM base\nRUN x\n', { buildArgs: { [name]: 'p' } })
      expect(result.proxyEnv).toEqual([`${name.toUpperCase()}=p`, `${name.toLowerCase()}=p`])
      expect(JSON.stringify([result.graph, result.image]).toLowerCase()).not.toContain('_proxy')
      expect(result.warnings).toEqual([])
    },
  )

  it.each(proxies.map((name) => [name]))('%s declared with ARG is in step and history', async (name) => {
    const result = await convertText(`FROM base\nARG ${name}\nRUN x\n`, { buildArgs: { [name]: 'p' } })
    expect(execsOf(result)[0]?.env).toContain(`${name}=p`)
    expect(historyOf(result)).toEqual([`- ARG ${name}=p`, `RUN |1 ${name}=p /bin/sh -c x # buildkit`])
  })
})

describe('toGraph() and TARGETSTAGE', () => {
  it.each([
    ['the target', 'mid', 'mid'],
    ['the last stage', undefined, 'end'],
    ['a target by number, as given', '1', '1'],
  ])('is the name of %s', async (_, target, name) => {
    const text =
      'FROM base AS first\nARG TARGETSTAGE\nRUN echo\nFROM first AS mid\nRUN mid\nFROM first AS end\nRUN end\n'
    const result = await convertText(text, { target })
    expect(execsOf(result)[0]?.env).toContain(`TARGETSTAGE=${name}`)
  })
})
