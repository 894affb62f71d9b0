// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import { isBuildError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { expand, expandHeredoc, expandWords } from './expand.ts'
import type { EscapeToken } from './instruction.ts'

const values: Readonly<Record<string, string>> = {
  A: 'hello',
  EMPTY: '',
  P: 'usr/local/bin',
  S: 'a b',
  STARS: 'a*b?c',
  LINES: 'one\ntwo',
  DOLLAR: '$0!',
}
const env = (name: string) => (Object.hasOwn(values, name) ? values[name] : undefined)
const run = (word: string, escapeToken: EscapeToken = '\\') => expand(word, env, { escape: escapeToken })

function failure(word: string): string {
  try {
    run(word)
  } catch (error) {
    if (isBuildError(error)) return `${error.code} ${error.message}`
    throw error
  }
  return 'no error'
}

describe('expand()', () => {
  it.each([
    ['plain', 'plain'],
    ['$A', 'hello'],
    ['${A}', 'hello'],
    ['$Ab', ''],
    ['${A}b', 'hellob'],
    ['$NONE|${NONE}', '|'],
    ['$', '$'],
    ['$.', '$.'],
    ['$$A', 'A'],
    ['$1$12x$@$*$#$?$-$!$0', 'x'],
    ['${A:-w}', 'hello'],
    ['${NONE:-w}', 'w'],
    ['${EMPTY:-w}', 'w'],
    ['${EMPTY-w}', ''],
    ['${NONE-w}', 'w'],
    ['${A:+w}', 'w'],
    ['${EMPTY:+w}', ''],
    ['${EMPTY+w}', 'w'],
    ['${NONE+w}', ''],
    ['${A:?no}', 'hello'],
    ['${EMPTY?no}', ''],
    ['${NONE:-${EMPTY:-$A}}', 'hello'],
    ['${NONE:-"a }b"}', 'a }b'],
    ["${NONE:-'$A'}", '$A'],
    ['${P#*/}', 'local/bin'],
    ['${P##*/}', 'bin'],
    ['${P%/*}', 'usr/local'],
    ['${P%%/*}', 'usr'],
    ['${P#x}', 'usr/local/bin'],
    ['${P#u?r}', '/local/bin'],
    ['${P#[u]}', 'usr/local/bin'],
    ['${A#$NONE}', 'hello'],
    ['${A%l*}', 'hel'],
    ['${A%%l*}', 'he'],
    ['${A/l/L}', 'heLlo'],
    ['${A//l/L}', 'heLLo'],
    ['${A//l/}', 'heo'],
    ['${A/l*/X}', 'heX'],
    ['${A//?/x}', 'xxxxx'],
    ['${A//*/x}', 'x'],
    ['${P//\\//-}', 'usr-local-bin'],
    ['${STARS/\\*/x}', 'axb?c'],
    ['${STARS/\\?/x}', 'a*bxc'],
    ['${A/#h/x}', 'hello'],
    ['${LINES#*}', '\ntwo'.replace('\n', 'one\n')],
    ['${LINES##*}', '\ntwo'],
    ['${A/l/$DOLLAR}', 'he$0!lo'],
    ['${A//l/$DOLLAR}', 'hel!l!o'],
    ["'$A'", '$A'],
    ['"$A"', 'hello'],
    ['"\\$A \\" \\\\ \\n"', '$A " \\ \\n'],
    ['a\\$A\\x\\\\', 'a$Ax\\'],
    ["it\\'s", "it's"],
    ['a b  c', 'a b  c'],
    ['end\\', 'end'],
    ['é${NONE:-ü}😀', 'éü😀'],
  ])('turns %j into %j', (word, result) => {
    expect(run(word)).toBe(result)
  })

  it.each([
    ['${}', 'bad substitution'],
    ['${.}', 'bad substitution'],
    ['${{A}', 'bad substitution'],
    ['${:A}', 'bad substitution'],
    ['${A', "missing '}'"],
    ['${A:-x', "missing '}'"],
    ['${A!x}', 'unsupported modifier (!) in substitution'],
    ['${A:#x}', 'unsupported modifier (:#) in substitution'],
    ['${A:##x}', 'unsupported modifier (:#) in substitution'],
    ['${A:%x}', 'unsupported modifier (:%) in substitution'],
    ['${A:%%x}', 'unsupported modifier (:%) in substitution'],
    ['${A/x}', "missing '/' in ${}"],
    ['${A#\\x}', "invalid escape '\\x'"],
    ['${NONE?}', 'NONE: is not allowed to be unset'],
    ['${NONE:?}', 'NONE: is not allowed to be unset'],
    ['${EMPTY:?}', 'EMPTY: is not allowed to be empty'],
    ['${NONE?give $A}', 'NONE: give hello'],
    ['"open', 'unexpected end of statement while looking for matching double-quote'],
    ["'open", 'unexpected end of statement while looking for matching single-quote'],
  ])('refuses %j', (word, message) => {
    expect(failure(word)).toMatch(/^ERR_DOCKERFILE_EXPANSION Cannot expand /)
    expect(failure(word)).toContain(message)
  })

  it('refuses substitutions that are nested too deep', () => {
    expect(failure('${A:-'.repeat(10_000))).toContain('nested more than 200 deep')
  })

  it('takes the escape character of the file', () => {
    expect(run('`$A \\$A', '`')).toBe('$A \\hello')
  })

  it('tells which names were used and whether they were set', () => {
    const names: string[] = []
    expand('$A ${NONE:-$P} $A', env, {
      escape: '\\',
      onName: (name, found) => names.push(`${name} ${found}`),
    })
    expect(names).toEqual(['A true', 'P true', 'NONE false', 'A true'])
  })

  it('puts the source into its error', () => {
    const source = { file: 'Dockerfile', startLine: 3, startColumn: 0, endLine: 3, endColumn: 9 }
    expect(() => expand('${', env, { escape: '\\', source })).toThrowError(
      expect.objectContaining({ source }),
    )
  })
})

describe('expandWords()', () => {
  it.each([
    ['80 443', ['80', '443']],
    ['$S', ['a', 'b']],
    ['"$S"', ['a b']],
    ['x$S', ['xa', 'b']],
    ['x${NONE:-1 2}y', ['x1', '2y']],
    ["''", []],
    ['$NONE', []],
    ['a\\ b', ['a b']],
  ])('splits %j into %j', (text, words) => {
    expect(expandWords(text, env, { escape: '\\' })).toEqual(words)
  })
})

describe('expandHeredoc()', () => {
  it.each([
    ['"$A" \'$A\'\n', '"hello" \'hello\'\n'],
    ['\\$A \\\\ ${A}\n', '$A \\ hello\n'],
    ['a \\\nb\n', 'a \nb\n'],
    ["it's\n", "it's\n"],
  ])('turns %j into %j', (body, result) => {
    expect(expandHeredoc(body, env)).toBe(result)
  })
})
