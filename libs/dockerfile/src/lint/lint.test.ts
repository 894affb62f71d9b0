// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import { describe, expect, it } from 'vitest'
import { parseDockerfile } from '../parse.ts'
import { checkOptionsOf, parseCheckOptions } from './check-options.ts'
import { lint } from './lint.ts'

/** `rule:line` of each finding. */
function found(text: string, check?: string): readonly string[] {
  const dockerfile = parseDockerfile(text, 'Dockerfile')
  return lint(dockerfile, check === undefined ? {} : { check }).map(
    ({ rule, source }) => `${rule}:${source?.startLine ?? '-'}`,
  )
}

describe('lint()', () => {
  it.each<[string, string, readonly string[]]>([
    ['a clean file', '# a comment\nARG A=1\nFROM a AS b\nRUN x\nCMD ["x"]', []],
    ['StageNameCasing', 'FROM a AS B', ['StageNameCasing:1']],
    ['FromAsCasing', 'FROM a as b\nFROM a AS c', ['FromAsCasing:1']],
    ['FromAsCasing, lower', 'from a AS b', ['FromAsCasing:1']],
    ['NoEmptyContinuation', 'FROM a\nRUN x \\\n\n y', ['NoEmptyContinuation:3']],
    [
      'ConsistentInstructionCasing',
      'FROM a\nRUN x\nrun y\nRun z',
      ['ConsistentInstructionCasing:3', 'ConsistentInstructionCasing:4'],
    ],
    ['ConsistentInstructionCasing, lower', 'from a\nrun x\nRUN y', ['ConsistentInstructionCasing:3']],
    ['ConsistentInstructionCasing, tie', 'from a\nRUN y', ['ConsistentInstructionCasing:1']],
    ['DuplicateStageName', 'FROM a AS b\nFROM c AS b', ['DuplicateStageName:2']],
    [
      'ReservedStageName',
      'FROM a AS scratch\nFROM a AS context',
      ['ReservedStageName:1', 'ReservedStageName:2'],
    ],
    [
      'JSONArgsRecommended',
      'FROM a\nENTRYPOINT x\nCMD y',
      ['JSONArgsRecommended:2', 'JSONArgsRecommended:3'],
    ],
    [
      'JSONArgsRecommended, SHELL',
      'FROM a AS b\nSHELL ["x"]\nCMD y\nFROM B AS c\nCMD z\nFROM c\nCMD z\nFROM a\nCMD z',
      ['JSONArgsRecommended:9'],
    ],
    ['MaintainerDeprecated', 'FROM a\nMAINTAINER x', ['MaintainerDeprecated:2']],
    [
      'MultipleInstructionsDisallowed',
      'FROM a\nCMD ["a"]\nCMD ["b"]\nCMD ["c"]\nFROM a\nCMD ["d"]',
      ['MultipleInstructionsDisallowed:2', 'MultipleInstructionsDisallowed:3'],
    ],
    [
      'LegacyKeyValueFormat',
      'FROM a\nENV b c\nLABEL d e\nENV f=g',
      ['LegacyKeyValueFormat:2', 'LegacyKeyValueFormat:3'],
    ],
    [
      'SecretsUsedInArgOrEnv',
      'ARG token\nFROM a\nENV API_KEY=x PASSWD_FILE=y MONKEY=z',
      ['SecretsUsedInArgOrEnv:1', 'SecretsUsedInArgOrEnv:3'],
    ],
    [
      'RedundantTargetPlatform',
      'FROM --platform=$TARGETPLATFORM a\nFROM --platform=${TARGETPLATFORM} a\nFROM --platform=$BUILDPLATFORM b',
      ['RedundantTargetPlatform:1', 'RedundantTargetPlatform:2'],
    ],
    [
      'FromPlatformFlagConstDisallowed',
      'FROM --platform=linux/amd64 a\nFROM --platform=linux/amd64 a AS build-amd64',
      ['FromPlatformFlagConstDisallowed:1'],
    ],
    [
      'ExposeProtoCasing',
      'FROM a\nEXPOSE 80/TCP 80/tcp $P/TCP ${P:-1/X}',
      ['ExposeProtoCasing:2', 'ExposeProtoCasing:2'],
    ],
    ['UndefinedArgInFrom', 'ARG A\nFROM $A$B\nFROM x${TARGETARCH}', ['UndefinedArgInFrom:2']],
    [
      'ExposeInvalidFormat',
      'FROM a\nEXPOSE 127.0.0.1:80:80 5000-5005 1:2 ${P:-80}',
      ['ExposeInvalidFormat:2', 'ExposeInvalidFormat:2'],
    ],
  ])('finds %s', (_, text, rules) => {
    expect(found(text)).toEqual(rules)
  })

  it('runs experimental rules only when they are asked for', () => {
    const text = '# b says what\nFROM a AS b\n# else\nARG C\n#\n# D e\nARG D'
    expect(found(text)).toEqual([])
    expect(found(`# check=experimental=all\n${text}`)).toEqual(['InvalidDefinitionDescription:5'])
    expect(found(text, 'experimental=InvalidDefinitionDescription')).toEqual([
      'InvalidDefinitionDescription:4',
    ])
  })

  it('skips by directive, by build argument and by comment', () => {
    const text = 'FROM a AS B\n# check=skip=LegacyKeyValueFormat\nENV b c\nENV d e'
    expect(found(text)).toEqual(['StageNameCasing:1', 'LegacyKeyValueFormat:4'])
    expect(found(`# check=skip=StageNameCasing\n${text}`)).toEqual(['LegacyKeyValueFormat:5'])
    expect(found(`# check=skip=all\n${text}`)).toEqual([])
    expect(found(`# check=skip=all\n${text}`, 'skip=LegacyKeyValueFormat')).toEqual(['StageNameCasing:2'])
  })

  it('says what is wrong in the words of BuildKit', () => {
    const [warning] = lint(parseDockerfile('FROM a as b', 'Dockerfile'))
    expect(warning?.message).toBe("'as' and 'FROM' keywords' casing do not match")
  })
})

describe('parseCheckOptions()', () => {
  it('reads all three options', () => {
    expect(parseCheckOptions('skip=A,B;error=true;experimental=all')).toEqual({
      skip: new Set(['A', 'B']),
      experimental: 'all',
      error: true,
    })
  })

  it.each(['skip', 'error=yes', 'other=1', 'skip=A;;'])('refuses %j', (text) => {
    expect(() => parseCheckOptions(text)).toThrowError(
      expect.objectContaining({ code: 'ERR_DOCKERFILE_SYNTAX' }),
    )
  })

  it('points at the directive', () => {
    const dockerfile = parseDockerfile('# check=bad\nFROM a', 'Dockerfile')
    expect(() => checkOptionsOf(dockerfile)).toThrowError(
      expect.objectContaining({ source: expect.objectContaining({ startLine: 1, endColumn: 11 }) }),
    )
  })
})
