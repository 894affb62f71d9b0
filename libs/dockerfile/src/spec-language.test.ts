// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
// One test for each row of spec/dockerfile.md 1.1, 1.2, 1.3 and 1.5, named after it. The details are in the tests of each module
// and in test/conformance.
import { isBuildError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { expand, expandHeredoc, expandWords } from './expand.ts'
import type { EscapeToken, Instruction } from './instruction.ts'
import { checkOptionsOf } from './lint/check-options.ts'
import { parseDockerfile } from './parse.ts'
import { detectSyntax } from './syntax.ts'

const parse = (text: string) => parseDockerfile(text, 'Dockerfile')
const only = (line: string): Instruction | undefined => parse(`FROM a\n${line}`).instructions[1]
const originals = (text: string) => parse(text).instructions.map(({ original }) => original)

/** The message of the error. */
function refusal(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (!isBuildError(error) || error.kind !== 'user') throw error
    return `${error.message} ${error.hints.join(' ')}`
  }
  return 'no error'
}
const refused = (line: string) => refusal(() => parse(`FROM a\n${line}`))

describe('1.1 file-level parsing', () => {
  it('BOM: stripped from the first line only', () => {
    expect(originals('\ufeffFROM a')).toEqual(['FROM a'])
    expect(refused('\ufeffRUN a')).toContain('unknown instruction')
  })

  it('line length: 64 KiB, in bytes', () => {
    expect(only(`RUN ${'é'.repeat(32_765)}x`)?.kind).toBe('run')
    expect(refused(`RUN ${'é'.repeat(32_766)}`)).toContain(
      'dockerfile line greater than max allowed size of 65535',
    )
  })

  it('line ends: LF and CRLF; lone CR is not an end', () => {
    expect(originals('FROM a\r\nRUN b\rc\nRUN d')).toEqual(['FROM a', 'RUN b\rc', 'RUN d'])
  })

  it('comments: # as first non-blank char, also between continuation lines', () => {
    expect(originals(' # x\nFROM a\nRUN b \\\n\t# c \\\n d # e')).toEqual(['FROM a', 'RUN b  d # e'])
  })

  it('leading blanks: stripped on instruction lines, kept in continuation lines', () => {
    expect(originals('\t FROM a\n  RUN b\\\n  c')).toEqual(['FROM a', 'RUN b  c'])
  })

  it('blank lines in continuation: allowed, warning NoEmptyContinuation', () => {
    const { instructions, warnings } = parse('FROM a\nRUN b \\\n\n c')
    expect(instructions[1]?.original).toBe('RUN b  c')
    expect(warnings).toMatchObject([{ rule: 'NoEmptyContinuation', source: { startLine: 3 } }])
  })

  it('continuation: escape char, optional blanks, end of line; doubled it does not continue', () => {
    expect(originals('FROM a\nRUN b \\ \t\n c')).toEqual(['FROM a', 'RUN b  c'])
    expect(originals('FROM a\nRUN b \\\\\nRUN c')).toEqual(['FROM a', 'RUN b \\\\', 'RUN c'])
  })

  it('EOF in continuation: the line joined so far is used', () => {
    expect(originals('FROM a\nRUN b \\')).toEqual(['FROM a', 'RUN b'])
    expect(originals('FROM a\nRUN b \\\n# c')).toEqual(['FROM a', 'RUN b'])
  })

  it('directives: only syntax, escape, check; in the first lines; each once', () => {
    const names = (text: string) => parse(text).directives.map(({ name, value }) => `${name}=${value}`)
    expect(names('#syntax = a \n# CHECK=b\nFROM a')).toEqual(['syntax=a', 'check=b'])
    for (const end of ['# c', '', '# other=1', 'FROM a'])
      expect(names(`${end}\n# check=b\nFROM a`)).toEqual([])
    expect(refusal(() => parse('# check=a\n# check=b\nFROM a'))).toContain(
      'only one check parser directive can be used',
    )
  })

  it('escape: backslash or backtick only; affects continuation and word expansion', () => {
    expect(originals('# escape=`\nFROM a\nRUN b `\n c\\')).toEqual(['FROM a', 'RUN b  c\\'])
    expect(expand('`$a', () => 'b', { escape: '`' })).toBe('$a')
    expect(refusal(() => parse('# escape=x\nFROM a'))).toContain('invalid escape token')
  })

  it('syntax detection: #, //, JSON, after a shebang', () => {
    for (const text of ['# syntax=a', '// syntax=a', '{"syntax": "a"}', '#!/x\n# syntax=a'])
      expect(detectSyntax(text)?.image).toBe('a')
  })

  it('check: skip, error, experimental', () => {
    const dockerfile = parse('# check=skip=A,B;error=true;experimental=all\nFROM a')
    expect(checkOptionsOf(dockerfile)).toMatchObject({ error: true })
  })

  it('instruction word: case-insensitive; unknown names the near one', () => {
    expect(only('rUn b')?.kind).toBe('run')
    expect(refused('RUNN b')).toMatch(/unknown instruction.*Did you mean `RUN`\?/)
  })

  it('empty file: file with no instructions', () => {
    for (const text of ['', '\n', '# a\n'])
      expect(refusal(() => parse(text))).toContain('file with no instructions')
  })

  it('flags: directly after the word, -- ends them, unknown, twice, booleans', () => {
    expect(only('COPY --link=FALSE --from=x -- --a b')).toMatchObject({
      link: false,
      from: 'x',
      sources: ['--a'],
    })
    expect(refused('COPY --fromm=x a b')).toMatch(/unknown flag: --fromm.*Did you mean `--from`\?/)
    expect(refused('COPY --from=x --from=y a b')).toContain('duplicate flag specified: --from')
    expect(refused('COPY --link=1 a b')).toContain('expecting boolean value for flag --link')
  })

  it('JSON form: strings only; invalid JSON is silently shell form; double quotes', () => {
    expect(only('CMD ["a"]')).toMatchObject({ command: { form: 'exec', args: ['a'] } })
    expect(only("CMD ['a']")).toMatchObject({ command: { form: 'shell', text: "['a']" } })
    expect(only('CMD ["a"')).toMatchObject({ command: { form: 'shell' } })
    expect(refused('CMD [1]')).toContain(
      'when using JSON array syntax, arrays must be comprised of strings only',
    )
  })

  it('AST extras: doc comment, exact source ranges of several lines', () => {
    expect(parse('# b is c\n\nFROM a AS b\nRUN d \\\n  e').instructions).toMatchObject([
      { comments: ['b is c'], description: 'is c' },
      { source: { startLine: 4, startColumn: 0, endLine: 5, endColumn: 3 } },
    ])
  })
})

describe('1.2 instructions and flags', () => {
  it.each<[string, string, object]>([
    ['FROM', 'FROM --platform=$P i:t@d AS N', { image: 'i:t@d', platform: '$P', stageName: 'n' }],
    ['ARG', 'ARG A B=1 C=', { args: [{ value: null }, { value: '1' }, { value: '' }] }],
    [
      'ENV',
      'ENV A=$B C="d e"',
      {
        pairs: [
          { key: 'A', value: '$B' },
          { key: 'C', value: '"d e"' },
        ],
      },
    ],
    ['ENV, legacy form', 'ENV A b c', { pairs: [{ key: 'A', value: 'b c' }], legacy: true }],
    ['LABEL', 'LABEL $a="b c"', { pairs: [{ key: '$a', value: '"b c"' }] }],
    [
      'RUN',
      'RUN --network=none --security=insecure --mount=a=b x',
      { network: 'none', security: 'insecure' },
    ],
    [
      'COPY',
      'COPY --from=a --chown=b --chmod=c --link --parents --exclude=d --exclude=e f g',
      { from: 'a', chown: 'b', chmod: 'c', link: true, parents: true, exclude: ['d', 'e'] },
    ],
    ['COPY, JSON form for names with blanks', 'COPY ["a b", "c"]', { sources: ['a b'], destination: 'c' }],
    [
      'ADD',
      'ADD --chown=a --chmod=b --link --checksum=c --keep-git-dir --unpack=false --exclude=d e f',
      { checksum: 'c', keepGitDir: true, unpack: false, exclude: ['d'] },
    ],
    ['CMD, empty array allowed', 'CMD []', { command: { form: 'exec', args: [] } }],
    ['ENTRYPOINT', 'ENTRYPOINT a $b', { command: { form: 'shell', text: 'a $b' } }],
    ['EXPOSE', 'EXPOSE 1-2/TCP $p', { ports: ['1-2/TCP', '$p'] }],
    ['VOLUME, words or JSON', 'VOLUME ["/a b", "/c"]', { paths: ['/a b', '/c'] }],
    ['USER', 'USER a:$b', { user: 'a:$b' }],
    ['WORKDIR', 'WORKDIR a b', { path: 'a b' }],
    ['SHELL', 'SHELL ["a", "-c"]', { shell: ['a', '-c'] }],
    ['STOPSIGNAL', 'STOPSIGNAL $s', { signal: '$s' }],
    [
      'HEALTHCHECK',
      'HEALTHCHECK --retries=2 --interval=1ms CMD a',
      { options: { retries: 2, intervalNs: 1e6 } },
    ],
    ['HEALTHCHECK NONE', 'HEALTHCHECK NONE', { command: null }],
    ['ONBUILD', 'ONBUILD COPY --from=a b c', { expression: 'COPY --from=a b c' }],
    ['MAINTAINER', 'MAINTAINER a b', { name: 'a b' }],
  ])('%s', (_, line, expected) => {
    expect(only(line)).toMatchObject(expected)
  })

  it.each([
    ['FROM name', 'FROM a AS 1', "name can't start with a number or contain symbols"],
    ['RUN --device is an unknown flag', 'RUN --device=a b', 'unknown flag: --device'],
    ['ADD has no --from', 'ADD --from=a b c', 'unknown flag: --from'],
    ['ADD has no --parents', 'ADD --parents b c', 'unknown flag: --parents'],
    ['VOLUME: empty string is an error', 'VOLUME [""]', 'VOLUME specified can not be an empty string'],
    ['SHELL: JSON only', 'SHELL a', 'SHELL requires the arguments to be in JSON form'],
    ['HEALTHCHECK: durations of at least 1 ms', 'HEALTHCHECK --timeout=1ns CMD a', 'cannot be less than 1ms'],
    ['HEALTHCHECK: retries of at least 0', 'HEALTHCHECK --retries=-1 CMD a', 'cannot be negative'],
    ['HEALTHCHECK NONE takes no arguments', 'HEALTHCHECK NONE a', 'takes no arguments'],
    ['HEALTHCHECK NONE with an unknown flag', 'HEALTHCHECK --x NONE', 'unknown flag: --x'],
    ['ARG takes no flags', 'ARG --x a', 'unknown flag: --x'],
    ['STOPSIGNAL takes no flags', 'STOPSIGNAL --x 9', 'unknown flag: --x'],
    ['ONBUILD: any but ONBUILD', 'ONBUILD onbuild RUN a', 'Chaining ONBUILD'],
    ['ONBUILD: any but FROM', 'ONBUILD from a', "FROM isn't allowed as an ONBUILD trigger"],
    ['ONBUILD: any but MAINTAINER', 'ONBUILD MAINTAINER a', "MAINTAINER isn't allowed as an ONBUILD trigger"],
    ['ONBUILD: the JSON form of its trigger', 'ONBUILD CMD [1]', 'arrays must be comprised of strings only'],
    ['ONBUILD: the pairs of its trigger', 'ONBUILD ENV a=b c', "can't find = in"],
    ['the JSON form with an escaped NUL', 'CMD ["\\u0000"]', 'in string 1 of the JSON array: it holds a NUL'],
    ['a NUL in a RUN heredoc', 'RUN <<E\n\0\nE', 'heredoc "E" holds a NUL character'],
  ])('refuses: %s', (_, line, message) => {
    expect(refused(line)).toContain(message)
  })
})

const values: Readonly<Record<string, string>> = { v: 'value', e: '', p: 'a/b/c', s: 'x y' }
const env = (name: string) => values[name]
const expanded = (word: string, escapeToken: EscapeToken = '\\') => expand(word, env, { escape: escapeToken })

describe('1.3 variable expansion', () => {
  it.each<[string, Readonly<Record<string, string>>]>([
    ['$name ${name}: unset is empty', { $v: 'value', '${v}': 'value', 'a$none.b': 'a.b', '${none}': '' }],
    ['${v:-w} ${v-w}', { '${e:-w}': 'w', '${e-w}': '', '${none-w}': 'w', '${v:-w}': 'value' }],
    ['${v:+w} ${v+w}', { '${v:+w}': 'w', '${e:+w}': '', '${e+w}': 'w', '${none+w}': '' }],
    ['${v:?msg} ${v?msg} of what is set', { '${v:?m}': 'value', '${e?m}': '' }],
    ['${v#p} ${v##p}', { '${p#*/}': 'b/c', '${p##*/}': 'c' }],
    ['${v%p} ${v%%p}', { '${p%/*}': 'a/b', '${p%%/*}': 'a' }],
    ['${v/p/r} ${v//p/r}', { '${p/\\//-}': 'a-b/c', '${p//\\//-}': 'a-b-c', '${v/#v/x}': 'value' }],
    [
      'patterns: only * and ?; brackets are not',
      { '${v#?a}': 'lue', '${v#[v]}': 'value', '${v%\\*}': 'value' },
    ],
    ['w and r are expanded themselves', { '${none:-${e:-$v}}': 'value', '${p/b/$v}': 'a/value/c' }],
    ['$@ $* $# $? $- $$ $! $0 $1 are read as names', { '$@$*$#$?$-$$$!$0$1$12': '', '$.': '$.' }],
    ['\'…\' and "…" and \\x', { "'$v'": '$v', '"$v \\$v \\x"': 'value $v \\x', 'a\\x': 'ax' }],
    ['env names are compared exactly (not on Windows)', { $V: '' }],
  ])('%s', (_, rows) => {
    for (const [word, result] of Object.entries(rows)) expect([word, expanded(word)]).toEqual([word, result])
  })

  it("escape: the directive's char", () => {
    expect(expanded('`$v\\', '`')).toBe('$v\\')
  })

  it.each([
    ['${v:?msg} of what is unset or empty', '${none:?msg}', 'none: msg'],
    ['${v?} without a message', '${none?}', 'none: is not allowed to be unset'],
    ['${v:?} of what is empty', '${e:?}', 'e: is not allowed to be empty'],
    ['the second / is required', '${v/a}', "missing '/' in ${}"],
    ['`:#`', '${v:#a}', 'unsupported modifier'],
    ['`:%%`', '${v:%%a}', 'unsupported modifier'],
    ['${}', '${}', 'bad substitution'],
    ['${.}', '${.}', 'bad substitution'],
    ['${{', '${{a}', 'bad substitution'],
    ['unterminated quote', '"a', 'unexpected end of statement while looking for matching double-quote'],
  ])('refuses: %s', (_, word, message) => {
    expect(refusal(() => expanded(word))).toContain(message)
  })

  it('EXPOSE is word-split after expansion', () => {
    expect(expandWords('$s "$s"', env, { escape: '\\' })).toEqual(['x', 'y', 'x y'])
  })

  it('nothing is expanded by the parser: who builds knows the environment', () => {
    const line = 'COPY --from=a --chown=$o --chmod=$m --exclude=$x $s $d'
    expect(only(line)).toMatchObject({
      chown: '$o',
      chmod: '$m',
      exclude: ['$x'],
      sources: ['$s'],
      destination: '$d',
    })
    expect(only('RUN --mount=type=$t,target=$d echo $v')).toMatchObject({
      command: { text: 'echo $v' },
      mounts: [{ fields: [{ value: '$t' }, { value: '$d' }] }],
    })
  })

  it('not expanded: --network, --security and boolean flags', () => {
    expect(refused('RUN --network=$n a')).toContain('invalid network mode "$n"')
    expect(refused('RUN --security=$s a')).toContain('security "$s" is not valid')
    expect(refused('COPY --link=$l a b')).toContain('expecting boolean value for flag --link, not: $l')
  })

  it("mount from: 'from' doesn't support variable expansion, define alias stage instead", () => {
    expect(refused('RUN --mount=from=$a,target=/b c')).toContain(
      "'from' doesn't support variable expansion, define alias stage instead",
    )
  })
})

describe('1.5 heredocs', () => {
  const files = (text: string) => {
    const copy = only(text)
    return copy?.kind === 'copy' || copy?.kind === 'add' ? copy.inlineFiles : []
  }

  it('allowed in ADD, COPY, RUN and ONBUILD of them; not with JSON form; several per line', () => {
    expect(files('ADD <<A <<B /x\na\nA\nb\nB')).toMatchObject([{ content: 'a\n' }, { content: 'b\n' }])
    expect(only('ONBUILD RUN <<A\na\nA')).toMatchObject({ expression: 'RUN <<A\na\nA' })
    expect(only('RUN ["<<A"]')).toMatchObject({ heredocs: [] })
    expect(only('CMD <<A')).toMatchObject({ command: { text: '<<A' } })
  })

  it('missing end: unterminated heredoc', () => {
    expect(refused('RUN <<A\na\n A')).toContain('unterminated heredoc')
  })

  it('<<- strips leading tabs of body and end line; any quote in the word turns expansion off', () => {
    expect(files('COPY <<-A /x\n\t\ta\n\tA')).toEqual([{ name: 'A', content: 'a\n', expand: true }])
    expect(files('COPY <<A"B" /x\n$a\nAB')).toEqual([{ name: 'AB', content: '$a\n', expand: false }])
  })

  it('<<- strips tabs after line feeds only', () => {
    expect(files('COPY <<-A /x\n\ta\r\tb\u2028\tc\nA')[0]?.content).toBe('a\r\tb\u2028\tc\n')
  })

  it('optional fd number', () => {
    expect(only('RUN 3<<X\nX')).toMatchObject({ heredocs: [{ fileDescriptor: 3 }] })
  })

  it('COPY: quotes in an unquoted body are literal, \\\\ is \\, \\$ is $, \\ before a line end goes', () => {
    expect(expandHeredoc('"$v" \'$v\' \\\\ \\$v \\\n', env)).toBe('"value" \'value\' \\ $v \n')
  })

  it('COPY: a heredoc cannot be the destination', () => {
    expect(refused('COPY a <<A\nA')).toContain('COPY cannot accept a heredoc as a destination')
  })

  it('RUN: the text and the bodies as written, no expansion', () => {
    expect(only('RUN cat <<A > f\n$v\nA')).toMatchObject({
      command: { text: 'cat <<A > f' },
      heredocs: [{ content: '$v\n' }],
    })
  })
})
