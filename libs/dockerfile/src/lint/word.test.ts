// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseDockerfile } from '../parse.ts'
import { lint } from './lint.ts'

/** `rule: the text that its range covers` of each finding. */
function words(text: string, buildArgs: Readonly<Record<string, string>> = {}): readonly string[] {
  const lines = text.split('\n')
  const options = { check: 'experimental=all', buildArgs }
  return lint(parseDockerfile(text, 'Dockerfile'), options).map(({ rule, source }) => {
    if (source === null) return `${rule}: -`
    const { startLine, startColumn, endLine, endColumn } = source
    const covered = lines.slice(startLine - 1, endLine)
    covered[covered.length - 1] = covered.at(-1)?.slice(0, endColumn) ?? ''
    covered[0] = covered[0]?.slice(startColumn) ?? ''
    return `${rule}: ${covered.join('\n')}`
  })
}

describe('the range of a finding', () => {
  it.each<[string, string]>([
    ['FROM a AS Build', 'StageNameCasing: Build'],
    ['FROM --platform=$BUILDPLATFORM a \\\n  as build', 'FromAsCasing: as'],
    ['FROM a\nRUN x \\\n\n y', 'NoEmptyContinuation: '],
    ['FROM a\nRUN x\n  run y', 'ConsistentInstructionCasing: run'],
    ['FROM a AS b\nFROM c AS b', 'DuplicateStageName: b'],
    ['FROM a AS context', 'ReservedStageName: context'],
    ['FROM a\nCMD run  it', 'JSONArgsRecommended: run  it'],
    ['FROM a\nENTRYPOINT run \\\n  it', 'JSONArgsRecommended: run \\\n  it'],
    ['FROM a\nMAINTAINER me', 'MaintainerDeprecated: MAINTAINER'],
    ['ARG A=1\nFROM x:${A}-$Bad', 'UndefinedArgInFrom: $Bad'],
    ['FROM --platform=${PLAT:-x/y} a', 'UndefinedArgInFrom: ${PLAT:-x/y}'],
    ['FROM a\nCMD ["a"]\nCMD ["b"]', 'MultipleInstructionsDisallowed: CMD ["a"]'],
    ['FROM a\nENV a b c', 'LegacyKeyValueFormat: a b c'],
    ['FROM --platform=$TARGETPLATFORM a', 'RedundantTargetPlatform: --platform=$TARGETPLATFORM'],
    ['FROM a\nENV X=1 \\\n  # comment\n  API_KEY=k Y=2', 'SecretsUsedInArgOrEnv: API_KEY=k'],
    ['FROM --platform=linux/amd64 a', 'FromPlatformFlagConstDisallowed: --platform=linux/amd64'],
    ['# the base\nFROM a AS base', 'InvalidDefinitionDescription: base'],
    ['FROM a\n# a number\nARG ONE=1', 'InvalidDefinitionDescription: ONE=1'],
    ['FROM a\nEXPOSE 80 81/TCP', 'ExposeProtoCasing: 81/TCP'],
    ['FROM a\nEXPOSE 80 127.0.0.1:80:81', 'ExposeInvalidFormat: 127.0.0.1:80:81'],
    ['FROM a\nRUN <<-EOF\n\tmake\n\tmake test\n\tEOF', 'HeredocWithoutErrexit: <<-EOF'],
    ['FROM a\nCOPY --chown=1 x . /app/\nRUN npm ci', 'CopyBeforeInstall: .'],
    ['FROM a\nRUN echo \\\n  && apt-get -q update', 'AptGetUpdateAlone: apt-get -q update'],
    ['FROM a\nRUN ["apt-get", "update"]', 'AptGetUpdateAlone: "update"'],
  ])('in %j covers %j', (text, expected) => {
    expect(words(text)).toEqual([expected])
  })

  const corpus = new URL('../../testdata/', import.meta.url)
  const texts = readdirSync(corpus).filter((name) => !name.startsWith('refused-'))
  it.each(texts)('lies in the file for the corpus case %s', (name) => {
    const text = readFileSync(new URL(`${name}/Dockerfile`, corpus), 'utf8')
    const lines = text.split('\n')
    for (const { source, rule } of lint(parseDockerfile(text, 'Dockerfile'), { check: 'experimental=all' })) {
      const { startLine = 0, startColumn = 0, endLine = 0, endColumn = 0 } = source ?? {}
      expect(startLine, rule).toBeGreaterThan(0)
      expect(lines[startLine - 1]?.length, rule).toBeGreaterThanOrEqual(startColumn)
      expect(lines[endLine - 1]?.length, rule).toBeGreaterThanOrEqual(endColumn)
      expect(endLine > startLine || endColumn >= startColumn, rule).toBe(true)
    }
  })

  it('is that of the ARG for a secret build argument, ', () => {
    const text = 'FROM a\nARG A=1 REPO=2'
    const buildArgs = { REPO: 'https://me:hunter2@host/r' }
    expect(words(text, buildArgs)).toEqual(['SecretInBuildArg: REPO=2'])
  })
})
