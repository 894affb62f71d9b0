import { isBuildError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { parseDockerfile, parseTrigger } from './parse.ts'

const runOf = (flag: string, head = '# tsbuild=cache-control\n') => {
  const run = parseDockerfile(`${head}FROM a\nRUN ${flag} x`, 'Dockerfile').instructions[1]
  return run?.kind === 'run' ? run : undefined
}

/** `code line:column message | hints` */
function failure(text: string): string {
  try {
    parseDockerfile(text, 'Dockerfile')
  } catch (error) {
    if (!isBuildError(error)) throw error
    const { code, source, message, hints } = error
    return `${code} ${source?.startLine}:${source?.startColumn} ${message} | ${hints.join(' ')}`
  }
  return 'no error'
}

describe('# tsbuild=', () => {
  it.each(['# tsbuild=cache-control', '#tsbuild = cache-control ', '# escape=`\n# TSBUILD=cache-control'])(
    'switches an extension on: %j',
    (head) => {
      expect(runOf('--cache=off', `${head}\n`)?.maxAgeMs).toBe(0)
    },
  )

  it('refuses an extension that there is not, and names those that there are', () => {
    expect(failure('# tsbuild=cache-contro\nFROM a')).toBe(
      'ERR_DOCKERFILE_SYNTAX 1:0 Cannot read directive "tsbuild": unknown extension "cache-contro" | Did you mean `cache-control`?',
    )
    expect(failure('# tsbuild=cache-control, x\nFROM a')).toBe(
      'ERR_DOCKERFILE_SYNTAX 1:0 Cannot read directive "tsbuild": unknown extension "x" | It takes names with commas between them: `cache-control`.',
    )
  })

  it('refuses a directive below it, which other builders would not see', () => {
    expect(failure('# tsbuild=cache-control\n# escape=`\nFROM a')).toBe(
      'ERR_DOCKERFILE_SYNTAX 2:0 Cannot read directive "escape": it stands below the directive "tsbuild" | Put `# tsbuild=` last: other builders take it for a comment, which ends the directives.',
    )
    expect(failure('# tsbuild=cache-control\n# tsbuild=cache-control\nFROM a')).toContain('only one tsbuild')
  })
})

describe('RUN --cache', () => {
  it.each<[string, number]>([
    ['off', 0],
    ['ttl=24h', 86_400_000],
    ['ttl=1h30m', 5_400_000],
    ['ttl=1.5s', 1500],
    ['ttl=1ms', 1],
  ])('%s is %i ms', (mode, ms) => {
    expect(runOf(`--cache=${mode}`)?.maxAgeMs).toBe(ms)
  })

  it('is of any age where it is not given', () => {
    expect(runOf('')?.maxAgeMs).toBe(null)
  })

  it('needs the directive, and says which line to add', () => {
    expect(failure('FROM a\nRUN --cache=off x')).toBe(
      'ERR_DOCKERFILE_UNKNOWN_FLAG 2:4 Cannot parse RUN: --cache is an extension of tsbuild | Add the line `# tsbuild=cache-control` at the top of the Dockerfile, below other directives.',
    )
    // Below an instruction or a comment it is one itself.
    expect(failure('# x\n# tsbuild=cache-control\nFROM a\nRUN --cache=off x')).toContain('is an extension')
  })

  it.each([
    ['on', 'invalid cache mode "on"'],
    ['', 'invalid cache mode ""'],
    ['ttl', 'invalid cache mode "ttl"'],
    ['ttl=', 'invalid duration ""'],
    ['ttl=1', 'missing unit in duration "1"'],
    ['ttl=1d', 'unknown unit "d" in duration "1d"'],
    ['ttl=0s', 'a time to live of 0s is less than a millisecond'],
    ['ttl=-1h', 'a time to live of -1h is less than a millisecond'],
    ['ttl=900us', 'a time to live of 900us is less than a millisecond'],
  ])('refuses %j', (mode, why) => {
    const text = failure(`# tsbuild=cache-control\nFROM a\nRUN --cache=${mode} x`)
    expect(text).toContain(`ERR_DOCKERFILE_SYNTAX 3:4 Cannot parse RUN: ${why} | Use \`--cache=off\``)
  })

  it('may stand in a trigger: its Dockerfile was asked when its image was built', () => {
    const source = { file: 'Dockerfile', startLine: 1, startColumn: 0, endLine: 1, endColumn: 6 }
    expect(parseTrigger('RUN --cache=off x', source)).toMatchObject({ maxAgeMs: 0 })
  })
})
