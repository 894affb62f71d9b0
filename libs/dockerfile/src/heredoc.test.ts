// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import { describe, expect, it } from 'vitest'
import { findHeredocs, heredocText, parseHeredocWord, tryHeredocWord } from './heredoc.ts'

describe('parseHeredocWord()', () => {
  it.each([
    ['<<EOF', { name: 'EOF', stripTabs: false, expand: true, fileDescriptor: 0 }],
    ['<<-EOF', { name: 'EOF', stripTabs: true, expand: true, fileDescriptor: 0 }],
    ['3<<E', { name: 'E', stripTabs: false, expand: true, fileDescriptor: 3 }],
    ["<<'E'", { name: 'E', stripTabs: false, expand: false, fileDescriptor: 0 }],
    ['<<"E F"', { name: 'E F', stripTabs: false, expand: false, fileDescriptor: 0 }],
    ['<<E"O"F', { name: 'EOF', stripTabs: false, expand: false, fileDescriptor: 0 }],
    ['<< EOF', { name: 'EOF', stripTabs: false, expand: true, fileDescriptor: 0 }],
    ['<<$EOF', { name: '$EOF', stripTabs: false, expand: true, fileDescriptor: 0 }],
    ["<<it\\'s", { name: "it's", stripTabs: false, expand: true, fileDescriptor: 0 }],
  ])('reads %j', (text, word) => {
    expect(parseHeredocWord(text)).toEqual(word)
  })

  it.each(['EOF', '<EOF', '<<', '<<-', '<<<EOF', 'a<<EOF', '<<a b', '<<""'])(
    'reads no heredoc in %j',
    (text) => {
      expect(parseHeredocWord(text)).toBeNull()
    },
  )

  it('refuses a malformed word, which tryHeredocWord() takes for none', () => {
    expect(() => parseHeredocWord('<<"E')).toThrowError(
      expect.objectContaining({ code: 'ERR_DOCKERFILE_EXPANSION' }),
    )
    expect(tryHeredocWord('<<"E')).toBeNull()
  })
})

describe('findHeredocs()', () => {
  it.each([
    ['RUN cat <<A 3<<-B > x', ['A', 'B']],
    ['RUN cat << A', ['A']],
    ['RUN cat <<A; cat <<B', ['A;', 'B']],
    ['RUN echo $((1 << 3))', ['3))']],
    ['RUN echo "<<A" \'<<B\' \\<<C', []],
    ["RUN echo it's <<A", []],
    ['RUN a < b', []],
    ['RUN echo ${x:-<<A}', []],
  ])('finds those of %j', (line, names) => {
    expect(findHeredocs(line).map(({ name }) => name)).toEqual(names)
  })
})

describe('heredocText()', () => {
  it('removes leading tabs of each line, but no blanks, when the heredoc was written <<-', () => {
    expect(heredocText({ content: '\t\ta\n\t b\tc\n  \td\n', stripTabs: true })).toBe('a\n b\tc\n  \td\n')
    expect(heredocText({ content: '\ta\n', stripTabs: false })).toBe('\ta\n')
  })
})
