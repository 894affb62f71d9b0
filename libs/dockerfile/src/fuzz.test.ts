// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import { isBuildError, type SourceRange } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { expand } from './expand.ts'
import { parseDockerfile } from './parse.ts'

/** A seeded generator of numbers in [0, 1): a failure can be repeated. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    const mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d)
    return ((mixed ^ (mixed >>> 12)) >>> 0) / 2 ** 32
  }
}

const HEADS = [
  ...[
    'RUN ',
    'run a',
    'RUN --mount=type=bind,target=/x ',
    'RUN --network=host\t',
    'COPY ',
    'COPY a b ',
    'ADD --link a ',
  ],
  ...[
    'ENV a=b ',
    'ENV ',
    'ARG ',
    'LABEL a=',
    'CMD ',
    'ENTRYPOINT ["a"]',
    'EXPOSE 80 ',
    'VOLUME ',
    'USER a',
    'WORKDIR /a',
  ],
  ...[
    'SHELL ["a"]',
    'HEALTHCHECK CMD ',
    'ONBUILD RUN ',
    'ONBUILD COPY ',
    'FROM a AS b',
    'FROM ',
    '',
    '# ',
    '\\\n',
    ' ',
  ],
]
const ATOMS = [
  ...[
    ' ',
    ' ',
    '\t',
    '\\\n',
    '\\\n#c\n',
    '\\\n\n',
    '\r',
    '\\',
    '`',
    '`\n',
    '#',
    '"',
    "'",
    '"x y"',
    '\u00a0',
    '\ufeff',
  ],
  ...[
    '$',
    '${',
    '}',
    '${a:-b c}',
    '${a#*}',
    '${a/',
    '<<',
    '<<EOF',
    '<<-E',
    "<<'E F'",
    '3<<E',
    '<',
    '\n',
    '=',
    'a=b',
    'a',
    'b',
  ],
  ...[
    '--x',
    '--from=y',
    '--',
    '--link',
    '--chown="a b"',
    '["a","b"]',
    '["a",1]',
    '[',
    ']',
    ',',
    '{',
    'é',
    '😀',
    '\ud800',
    '\0',
  ],
]
const ENDS = ['\n', '\n', '\r\n', '\nEOF\n', '\n\tE\n', '\nbody\nE F\n', '']

function createText(random: () => number): string {
  const pick = (list: readonly string[]) => list[Math.floor(random() * list.length)] ?? ''
  const line = () => {
    const atoms = Array.from({ length: Math.floor(random() * 5) }, () => pick(ATOMS))
    return pick(HEADS) + atoms.join('') + pick(ENDS)
  }
  const head = random() < 0.1 ? '# escape=`\n' : ''
  return `${head}FROM a\n${Array.from({ length: 1 + Math.floor(random() * 3) }, line).join('')}`
}

function isWithin(range: SourceRange, text: string): boolean {
  const lines = text.split('\n')
  const first = lines[range.startLine - 1] ?? ''
  const last = lines[range.endLine - 1] ?? ''
  const ordered =
    range.startLine < range.endLine ||
    (range.startLine === range.endLine && range.startColumn <= range.endColumn)
  return (
    ordered &&
    range.endLine <= Math.max(1, lines.length) &&
    range.startColumn <= first.length &&
    range.endColumn <= last.length
  )
}

/** Parses; gives the range of everything that came out of it, also of the error. */
function rangesOf(text: string): readonly SourceRange[] {
  try {
    return parseDockerfile(text, 'Dockerfile').instructions.map(({ source }) => source)
  } catch (error) {
    if (!isBuildError(error) || error.kind !== 'user' || error.source === undefined) throw error
    return [error.source]
  }
}

describe('parseDockerfile() on random text', () => {
  it('throws nothing but errors of the user, and every range lies in the file', () => {
    const random = createRandom(20_261_120)
    let accepted = 0
    for (let count = 0; count < 4_000; count++) {
      const text = createText(random)
      const ranges = rangesOf(text)
      if (ranges.length > 1) accepted++
      const wrong = ranges.filter((range) => !isWithin(range, text))
      expect({ text, wrong }).toEqual({ text, wrong: [] })
    }
    expect(accepted).toBeGreaterThan(500)
  })
})

describe('expand() on random text', () => {
  it('throws nothing but errors of the user', () => {
    const random = createRandom(7)
    let expanded = 0
    for (let count = 0; count < 4_000; count++) {
      try {
        expand(createText(random), (name) => (name === 'a' ? 'va*l' : undefined), { escape: '\\' })
        expanded++
      } catch (error) {
        if (!isBuildError(error) || error.code !== 'ERR_DOCKERFILE_EXPANSION') throw error
      }
    }
    expect(expanded).toBeGreaterThan(100)
  })
})

describe('parseDockerfile() on long text', () => {
  const lines = 20_000
  const words = Array.from({ length: lines }, (_, index) => `<<E${index}`)
  const bodies = Array.from({ length: lines }, (_, index) => `E${index}\n`)

  // A hundredth of this time is enough; work that grows with the square takes minutes.
  const LIMIT_MS = 10_000
  it.each([
    ['instructions', 'RUN echo $A "b c"\n'.repeat(lines)],
    ['continuation lines', `RUN ${'echo "b c" \\\n'.repeat(lines)}`],
    ['empty continuation lines', `RUN \\\n${'\n'.repeat(lines)}`],
    ['comment lines', '# comment\n'.repeat(lines)],
    ['flags', `RUN ${'--mount=a=b \\\n'.repeat(lines)}`],
    ['heredocs', `COPY ${words.join(' \\\n')} /x\n${bodies.join('')}`],
    ['body lines', `RUN <<E\n${'body\n'.repeat(lines)}E\n`],
    ['open braces', `RUN << ${'${a:-'.repeat(13_000)}`],
    ['angle brackets', `RUN ${'<'.repeat(65_000)}`],
    ['blanks in a heredoc', `RUN <<${' '.repeat(30_000)}${'x'.repeat(30_000)}<`],
    ['brackets', `RUN ${'['.repeat(65_000)}`],
    ['pairs', `ENV ${'a=b '.repeat(16_000)}`],
    ['mount fields', `RUN --mount=${'a,'.repeat(32_000)} x`],
    ['quotes in a mount', `RUN --mount=${'\\"a'.repeat(16_000)} x`],
    ['a long word', 'X'.repeat(65_000)],
  ])('takes time in step with %s', (_, text) => {
    const start = performance.now()
    rangesOf(`FROM a\n${text}`)
    expect(performance.now() - start).toBeLessThan(LIMIT_MS)
  })

  it('takes time in step with the blanks of a directive', () => {
    const start = performance.now()
    rangesOf(`# escape=${' '.repeat(65_000)}\nFROM a`)
    expect(performance.now() - start).toBeLessThan(LIMIT_MS)
  })
})
