// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import { isBuildError } from '@tsbuild/errors'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openStepCounter, type StepCounter } from './testing/count-steps.ts'

let counter: StepCounter
let library: typeof import('./index.ts')
beforeAll(async () => {
  counter = openStepCounter()
  vi.resetModules()
  library = await import('./index.ts')
})
afterAll(() => counter.close())

/** How many times as many steps a text of twice the size takes. Squares take four times as many. */
function growth(action: (size: number) => void, size = 200): number {
  action(size)
  const once = counter.steps(() => action(size))
  expect(once).toBeGreaterThan(0)
  return counter.steps(() => action(2 * size)) / once
}

function tryParse(text: string): void {
  try {
    library.parseDockerfile(`FROM a\n${text}`, 'Dockerfile')
  } catch (error) {
    if (!isBuildError(error) || error.kind !== 'user') throw error
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

describe('the steps of parseDockerfile() grow no faster than the text', () => {
  it.each<[string, (count: number) => string]>([
    ['instructions', (count) => 'RUN echo $A "b c"\n'.repeat(count)],
    ['stages', (count) => 'FROM a AS b\nCOPY --from=b c d\n'.repeat(count)],
    ['continuation lines', (count) => `RUN ${'echo "b c" \\\n'.repeat(count)}`],
    ['empty continuation lines', (count) => `RUN \\\n${'\n'.repeat(count)}`],
    ['comment lines', (count) => '# comment\n'.repeat(count)],
    ['comments in a continuation', (count) => `RUN \\\n${'# c\n'.repeat(count)}`],
    ['flags', (count) => `RUN ${'--mount=a=b \\\n'.repeat(count)}`],
    ['arguments', (count) => `COPY ${'a '.repeat(count)}`],
    [
      'heredocs',
      (count) =>
        `COPY ${numbers(count)
          .map((n) => `<<E${n}`)
          .join(' ')} /x\n${numbers(count)
          .map((n) => `E${n}\n`)
          .join('')}`,
    ],
    ['body lines', (count) => `RUN <<E\n${'body\n'.repeat(count)}E\n`],
    ['open braces', (count) => `RUN << ${'${a:-'.repeat(count)}`],
    ['angle brackets', (count) => `RUN ${'<'.repeat(count)}`],
    ['blanks in a heredoc', (count) => `RUN <<${' '.repeat(count)}${'x'.repeat(count)}<`],
    ['brackets', (count) => `RUN ${'['.repeat(count)}`],
    ['pairs', (count) => `ENV ${'a=b '.repeat(count)}`],
    ['quotes', (count) => `ENV a=${'"b c"'.repeat(count)}`],
    ['mount fields', (count) => `RUN --mount=${'a,'.repeat(count)} x`],
    ['quotes in a mount', (count) => `RUN --mount=${'\\"a'.repeat(count)} x`],
    ['ports', (count) => `EXPOSE ${'80 '.repeat(count)}`],
    ['a long word', (count) => 'X'.repeat(count)],
    ['blanks', (count) => `RUN ${' '.repeat(count)}x`],
  ])('for %s', (_, make) => {
    expect(growth((size) => tryParse(make(size)))).toBeLessThan(2.6)
  })

  it('for the blanks of a directive', () => {
    expect(growth((size) => tryParse(`# escape=${' '.repeat(size)}x\n`))).toBeLessThan(2.6)
  })

  it('when the words of each instruction are asked for', () => {
    const action = (size: number) => {
      const dockerfile = library.parseDockerfile(`FROM a\n${'COPY a \\\n b\n'.repeat(size)}`, 'D')
      for (const instruction of dockerfile.instructions) library.wordRangesOf(dockerfile, instruction)
    }
    expect(growth(action, 100)).toBeLessThan(2.6)
  })
})

describe('the steps of expand() grow no faster than text times pattern', () => {
  it.each<[string, string]>([
    ['plain text', '$A$A'],
    ['a pattern that is nowhere', '${A//?*x/y}'],
    ['a pattern that is everywhere', '${A//a/b}'],
    ['any number of characters', '${A//*/b}'],
    ['a prefix', '${A##*x}'],
    ['a suffix', '${A%%x*}'],
    ['many stars', '${A//*a*a*a*a*x/y}'],
    ['stars in a row', '${A//****************x/y}'],
  ])('for %s', (_, word) => {
    const action = (size: number) => void library.expand(word, () => 'a'.repeat(size), { escape: '\\' })
    expect(growth(action)).toBeLessThan(2.6)
  })
})

describe('the step counter', () => {
  it('finds work that grows with the square', () => {
    const action = (size: number) =>
      void library.expand(`\${A//${'a'.repeat(size)}b/}`, () => 'a'.repeat(size), { escape: '\\' })
    expect(growth(action)).toBeGreaterThan(3)
  })
})

describe('the steps of parseIgnore() grow no faster than the text', () => {
  it.each<[string, (count: number) => string]>([
    ['rules', (count) => 'a/b\n'.repeat(count)],
    ['path elements', (count) => 'a/../'.repeat(count)],
    ['classes', (count) => '[a-b]'.repeat(count)],
  ])('for %s', (_, make) => {
    expect(growth((size) => void library.parseIgnore(make(size)))).toBeLessThan(2.6)
  })
})
