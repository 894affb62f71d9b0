// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import { isBuildError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import type { Instruction } from './instruction.ts'
import { parseDockerfile, parseTrigger } from './parse.ts'

function parse(text: string): readonly Instruction[] {
  return parseDockerfile(text, 'Dockerfile').instructions
}

/** The second instruction of a file that begins with `FROM a`. */
function second(line: string): Instruction | undefined {
  return parse(`FROM a\n${line}`)[1]
}

/** `code line:column-line:column message` of the error. */
function failure(text: string): string {
  try {
    parse(text)
  } catch (error) {
    if (!isBuildError(error)) throw error
    const { source } = error
    const place =
      source === undefined
        ? 'nowhere'
        : `${source.startLine}:${source.startColumn}-${source.endLine}:${source.endColumn}`
    return `${error.code} ${place} ${error.message}`
  }
  return 'no error'
}

describe('parseDockerfile() lines', () => {
  it('skips a byte order mark, in front of a directive too', () => {
    expect(parseDockerfile('\ufeff# escape=`\nFROM a', 'D').escape).toBe('`')
  })

  it('ends lines at LF and CRLF but not at CR', () => {
    expect(parse('FROM a\r\nRUN b\rc\r\n')[1]).toMatchObject({ original: 'RUN b\rc' })
  })

  it.each([
    ['# escape=`', '`'],
    ['# ESCAPE = ` ', '`'],
    ['#escape=`', '`'],
    ['  # escape=`', '`'],
    ['# check=skip=all\n# escape=`', '`'],
    ['# other=1\n# escape=`', '\\'],
    ['# comment\n# escape=`', '\\'],
    ['\n# escape=`', '\\'],
    ['# escape=\\', '\\'],
  ])('reads the directives %j as escape %j', (head, escapeToken) => {
    expect(parseDockerfile(`${head}\nFROM a`, 'D').escape).toBe(escapeToken)
  })

  it.each([
    ['RUN a \\\n b', 'RUN a  b'],
    ['RUN a \\ \t\n b', 'RUN a  b'],
    ['RUN a \\\n# c\n b', 'RUN a  b'],
    ['RUN a \\\n  # c \\\n b', 'RUN a  b'],
    ['RUN a \\\n\n\n b', 'RUN a  b'],
    ['RUN a \\', 'RUN a'],
    ['RUN a \\\\', 'RUN a \\\\'],
    ['RUN a # no comment', 'RUN a # no comment'],
    ['  \t RUN a', 'RUN a'],
    ['\\\nRUN a', 'RUN a'],
    ['R\\\nUN a', 'RUN a'],
  ])('joins %j to %j', (text, original) => {
    expect(second(text)?.original).toBe(original)
  })

  it('takes a line of 65,535 bytes and refuses a longer one', () => {
    const line = (bytes: number) => `FROM a\nRUN ${'é'.repeat((bytes - 5) / 2)}x\nRUN y`
    expect(parse(line(65_535))).toHaveLength(3)
    expect(failure(line(65_537))).toMatch(/^ERR_DOCKERFILE_SYNTAX 2:0-2:32771 .*max allowed size of 65535/)
  })

  it('keeps the comments directly above, up to an empty one', () => {
    expect(parse('# a\n#\n# b\n\n  # c\nFROM x')[0]?.comments).toEqual(['b', 'c'])
  })

  it('ranges over continuation lines and heredoc bodies', () => {
    expect(second('  COPY <<E \\\n /x\nbody\nE\n')?.source).toEqual({
      file: 'Dockerfile',
      startLine: 2,
      startColumn: 2,
      endLine: 5,
      endColumn: 1,
    })
  })

  it('sorts instructions into global arguments and stages', () => {
    const { globalArgs, stages } = parseDockerfile('ARG A\nFROM x AS One\nRUN a\nFROM one\nRUN b\nRUN c', 'D')
    expect(globalArgs).toHaveLength(1)
    expect(stages.map(({ index, name, instructions }) => [index, name, instructions.length])).toEqual([
      [0, 'one', 1],
      [1, null, 2],
    ])
  })
})

describe('parseDockerfile() instructions', () => {
  it.each<[string, object]>([
    [
      'ARG A B=1 C="x y" D=',
      {
        args: [
          { name: 'A', value: null },
          { name: 'B', value: '1' },
          { name: 'C', value: '"x y"' },
          { name: 'D', value: '' },
        ],
      },
    ],
    [
      'ENV A=1 B=$A',
      {
        pairs: [
          { key: 'A', value: '1' },
          { key: 'B', value: '$A' },
        ],
        legacy: false,
      },
    ],
    ['ENV A b  c', { pairs: [{ key: 'A', value: 'b  c' }], legacy: true }],
    ['ENV A "x=y"', { pairs: [{ key: 'A', value: '"x=y"' }], legacy: true }],
    ['LABEL "a b"="c=d"', { pairs: [{ key: '"a b"', value: '"c=d"' }] }],
    [
      'run --network=none x',
      { kind: 'run', keyword: 'run', network: 'none', command: { form: 'shell', text: 'x' } },
    ],
    ['RUN --security=insecure ["x"]', { security: 'insecure', command: { form: 'exec', args: ['x'] } }],
    [
      'COPY --link=false --parents --from=b a c /',
      { link: false, parents: true, from: 'b', sources: ['a', 'c'], destination: '/' },
    ],
    ['COPY --exclude=a --exclude=b --chown= x y', { exclude: ['a', 'b'], chown: null }],
    ['ADD --unpack x y', { unpack: true, keepGitDir: null }],
    ['EXPOSE 80 443/udp $P', { ports: ['80', '443/udp', '$P'] }],
    ['WORKDIR /a b', { path: '/a b' }],
    ['USER a:b', { user: 'a:b' }],
    ['ENTRYPOINT []', { command: { form: 'exec', args: [] } }],
    ['CMD', { command: { form: 'shell', text: '' } }],
    [
      'HEALTHCHECK --timeout=1.5s --start-period=1h --start-interval=0 --retries=0 CMD a b',
      {
        command: { form: 'shell', text: 'a b' },
        options: { timeoutNs: 1.5e9, startPeriodNs: 3600e9, startIntervalNs: 0, retries: 0 },
      },
    ],
    ['HEALTHCHECK none', { command: null }],
    ['ONBUILD  add a b', { expression: 'add a b' }],
    ['MAINTAINER me and you', { name: 'me and you' }],
  ])('parses %j', (line, expected) => {
    expect(second(line)).toMatchObject(expected)
  })

  it.each([
    ['RUNX', 'ERR_DOCKERFILE_UNKNOWN_INSTRUCTION 2:0-2:4 '],
    [
      'COPY --link --links a b',
      'ERR_DOCKERFILE_UNKNOWN_FLAG 2:12-2:19 Cannot parse COPY: unknown flag: --links',
    ],
    ['ENV --a b=c', 'ERR_DOCKERFILE_UNKNOWN_FLAG 2:4-2:7 '],
    ['ADD --from=x a b', 'ERR_DOCKERFILE_UNKNOWN_FLAG 2:4-2:12 '],
    ['RUN --device=x a', 'ERR_DOCKERFILE_UNKNOWN_FLAG 2:4-2:14 '],
    [
      'COPY --from=a --from=b a b',
      'ERR_DOCKERFILE_SYNTAX 2:14-2:22 Cannot parse COPY: duplicate flag specified: --from',
    ],
    ['COPY --from a b', 'ERR_DOCKERFILE_SYNTAX 2:5-2:11 Cannot parse COPY: missing a value on flag: --from'],
    ['COPY --link= a b', 'ERR_DOCKERFILE_SYNTAX 2:5-2:12 Cannot parse COPY: missing a value on flag: --link'],
    [
      'COPY --link=1 a b',
      'ERR_DOCKERFILE_SYNTAX 2:5-2:13 Cannot parse COPY: expecting boolean value for flag --link, not: 1',
    ],
    ['RUN --network=x a', 'ERR_DOCKERFILE_SYNTAX 2:4-2:15 Cannot parse RUN: invalid network mode "x"'],
    ['RUN --security=x a', 'ERR_DOCKERFILE_SYNTAX 2:4-2:16 Cannot parse RUN: security "x" is not valid'],
    [
      'RUN --mount=from=$x,target=/y a',
      "ERR_DOCKERFILE_MOUNT_OPTION 2:4-2:29 Cannot parse RUN: 'from' doesn't support variable expansion",
    ],
    ['FROM', 'ERR_DOCKERFILE_SYNTAX 2:0-2:4 Cannot parse FROM: FROM requires either one or three arguments'],
    ['FROM a b', 'ERR_DOCKERFILE_SYNTAX 2:0-2:8 '],
    ['FROM a AS b c', 'ERR_DOCKERFILE_SYNTAX 2:0-2:13 '],
    [
      'FROM a AS b/c',
      'ERR_DOCKERFILE_SYNTAX 2:10-2:13 Cannot parse FROM: invalid name for build stage: "b/c"',
    ],
    ['ARG', 'ERR_DOCKERFILE_SYNTAX 2:0-2:3 Cannot parse ARG: ARG requires at least one argument'],
    ['ARG a =b', 'ERR_DOCKERFILE_SYNTAX 2:6-2:8 Cannot parse ARG: ARG names can not be blank'],
    ['ENV', 'ERR_DOCKERFILE_SYNTAX 2:0-2:3 Cannot parse ENV: ENV requires at least one argument'],
    ['ENV A', 'ERR_DOCKERFILE_SYNTAX 2:0-2:5 Cannot parse ENV: ENV must have two arguments'],
    ['ENV a=b =c', 'ERR_DOCKERFILE_SYNTAX 2:8-2:10 Cannot parse ENV: ENV names can not be blank'],
    [
      'ENV a=${b:-x y}',
      'ERR_DOCKERFILE_SYNTAX 2:13-2:15 Cannot parse ENV: Syntax error - can\'t find = in "y}"',
    ],
    ['COPY ["a"]', 'ERR_DOCKERFILE_SYNTAX 2:0-2:10 '],
    ['VOLUME []', 'ERR_DOCKERFILE_SYNTAX 2:0-2:9 Cannot parse VOLUME: VOLUME requires at least one argument'],
    [
      'VOLUME ["/a", " "]',
      'ERR_DOCKERFILE_SYNTAX 2:14-2:17 Cannot parse VOLUME: VOLUME specified can not be an empty string',
    ],
    [
      'SHELL /bin/sh',
      'ERR_DOCKERFILE_SYNTAX 2:0-2:13 Cannot parse SHELL: SHELL requires the arguments to be in JSON form',
    ],
    ['SHELL []', 'ERR_DOCKERFILE_SYNTAX 2:0-2:8 Cannot parse SHELL: SHELL requires at least one argument'],
    ['USER', 'ERR_DOCKERFILE_SYNTAX 2:0-2:4 Cannot parse USER: USER requires exactly one argument'],
    ['HEALTHCHECK', 'ERR_DOCKERFILE_SYNTAX 2:0-2:11 '],
    [
      'HEALTHCHECK x',
      'ERR_DOCKERFILE_SYNTAX 2:0-2:13 Cannot parse HEALTHCHECK: Unknown type "X" in HEALTHCHECK (try CMD)',
    ],
    [
      'HEALTHCHECK CMD',
      'ERR_DOCKERFILE_SYNTAX 2:0-2:15 Cannot parse HEALTHCHECK: Missing command after HEALTHCHECK CMD',
    ],
    [
      'HEALTHCHECK NONE x',
      'ERR_DOCKERFILE_SYNTAX 2:0-2:18 Cannot parse HEALTHCHECK: HEALTHCHECK NONE takes no arguments',
    ],
    [
      'HEALTHCHECK --interval=1us CMD x',
      'ERR_DOCKERFILE_SYNTAX 2:12-2:26 Cannot parse HEALTHCHECK: Interval "interval" cannot be less than 1ms',
    ],
    [
      'HEALTHCHECK --timeout=1d CMD x',
      'ERR_DOCKERFILE_SYNTAX 2:12-2:24 Cannot parse HEALTHCHECK: unknown unit "d" in duration "1d"',
    ],
    [
      'HEALTHCHECK --retries=-1 CMD x',
      'ERR_DOCKERFILE_SYNTAX 2:12-2:24 Cannot parse HEALTHCHECK: --retries cannot be negative (-1)',
    ],
    ['ONBUILD', 'ERR_DOCKERFILE_SYNTAX 2:0-2:7 '],
    [
      'ONBUILD FROM a',
      "ERR_DOCKERFILE_SYNTAX 2:8-2:12 Cannot parse ONBUILD: FROM isn't allowed as an ONBUILD trigger",
    ],
    ['RUN <<EOF', 'ERR_DOCKERFILE_SYNTAX 2:0-2:9 Cannot read heredoc "EOF": unterminated heredoc'],
  ])('refuses %j', (line, expected) => {
    expect(failure(`FROM a\n${line}`).slice(0, expected.length)).toBe(expected)
  })

  it('suggests the instruction that was meant', () => {
    expect(() => parse('FORM a')).toThrowError(expect.objectContaining({ hints: ['Did you mean `FROM`?'] }))
  })
})

describe('parseTrigger()', () => {
  const source = { file: 'Dockerfile', startLine: 7, startColumn: 0, endLine: 7, endColumn: 6 }

  it('parses a trigger with its heredoc and says it stands at the FROM', () => {
    const [, onbuild] = parse('FROM a\nONBUILD COPY <<X /x\nlater\nX\n')
    if (onbuild?.kind !== 'onbuild') throw new Error('no trigger')
    expect(parseTrigger(onbuild.expression, source)).toMatchObject({
      kind: 'copy',
      source,
      inlineFiles: [{ name: 'X', content: 'later\n', expand: true }],
    })
  })

  it.each(['', 'RUN a\nRUN b', 'FROM x', 'ONBUILD RUN x', 'RUN --x y'])('refuses %j', (expression) => {
    expect(() => parseTrigger(expression, source)).toThrowError(
      expect.objectContaining({ kind: 'user', source }),
    )
  })
})
