// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import type { SourceRange } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { createLineReader, type LogicalLine, splitLines } from './line-reader.ts'
import { maskInstruction } from './mask.ts'
import { parseDockerfile } from './parse.ts'
import { wordRanges, wordRangesOf } from './ranges.ts'

function readLine(text: string): LogicalLine {
  const line = createLineReader(splitLines(text), 'Dockerfile').next()
  if (line === null) throw new Error('no instruction')
  return line
}

/** The text at a range. */
function cut(text: string, range: SourceRange): string {
  const lines = text.split('\n').slice(range.startLine - 1, range.endLine)
  const last = (lines.pop() ?? '').slice(0, range.endColumn)
  return [...lines, last].join('\n').slice(range.startColumn)
}

describe('wordRanges()', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ['COPY a b', [], ['a', 'b']],
    ['  COPY --from=x --link a b', ['--from=x', '--link'], ['a', 'b']],
    ['COPY --chown="a b" --from=\'c d\' e\\ f g', ['--chown="a b"', "--from='c d'"], ['e\\', 'f', 'g']],
    ['COPY -- --a b', [], ['--a', 'b']],
    ['COPY --link -- --a b', ['--link'], ['--a', 'b']],
    ['COPY \\\n # c\n  --link \\\n\n\ta \\\n  b', ['--link'], ['a', 'b']],
    ['COPY ["a b", "c\\"d", ""]', [], ['"a b"', '"c\\"d"', '""']],
    ['ENV a="b c" d=\'e f\' g=h\\ i ${j:-k}=l', [], ['a="b c"', "d='e f'", 'g=h\\ i', '${j:-k}=l']],
    ['ARG a b="c \\\n d" e', [], ['a', 'b="c \\\n d"', 'e']],
    ['FROM --platform=$P a:${B:-c} AS d  ', ['--platform=$P'], ['a:${B:-c}', 'AS', 'd']],
    ['EXPOSE $A \\\n${B}/udp', [], ['$A', '${B}/udp']],
    ['COPY <<EOF <<-"A B" /x', [], ['<<EOF', '<<-"A', 'B"', '/x']],
    ['HEALTHCHECK --interval=5s CMD x', ['--interval=5s'], ['CMD', 'x']],
    ['ONBUILD RUN x', [], ['RUN', 'x']],
    ['\\\n\\\nRUN --network=host é😀 x', ['--network=host'], ['é😀', 'x']],
  ])('finds the words of %j', (text, flags, words) => {
    const ranges = wordRanges(readLine(text), 'Dockerfile', '\\')
    expect(ranges.flags.map((range) => cut(text, range))).toEqual(flags)
    expect(ranges.arguments.map((range) => cut(text, range))).toEqual(words)
  })

  it('takes the backtick as the escape character when the file says so', () => {
    const text = '# escape=`\nENV a=b` c `\n d=e\\ \n'
    const words = wordRanges(readLine(text), 'Dockerfile', '`').arguments
    expect(words.map((range) => cut(text, range))).toEqual(['a=b` c', 'd=e\\'])
  })
})

describe('wordRangesOf()', () => {
  it('finds the words of an instruction in the middle of a file', () => {
    const text = '# escape=`\nFROM a\nRUN <<E\nCOPY x y\nE\n# c\n  COPY --link a` `\n  b c\nRUN d\n'
    const dockerfile = parseDockerfile(text, 'Dockerfile')
    const ranges = dockerfile.instructions.map((instruction) => wordRangesOf(dockerfile, instruction))
    const words = ranges.map(({ flags, arguments: rest }) =>
      [...flags, ...rest].map((range) => cut(text, range)),
    )
    expect(words).toEqual([['a'], ['<<E'], ['--link', 'a`', 'b', 'c'], ['d']])
  })
})

describe('maskInstruction()', () => {
  it('keeps the line and the columns of every word', () => {
    const text = 'COPY --a="b c" \\\n  # "\n\n  <<E $x \\\n\t/d'
    expect(maskInstruction(readLine(text), '\\').split('\n')).toEqual([
      'COPY --a=_b_c_ \\',
      '',
      '',
      '  __E _x \\',
      ' /d',
    ])
  })
})
