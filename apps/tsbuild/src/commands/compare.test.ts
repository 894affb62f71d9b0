import { describe, expect, it } from 'vitest'
import { comparisonText } from './compare.ts'

const digest = (letter: string) => `sha256:${letter.repeat(64)}`

describe('comparisonText()', () => {
  it('says that images are the same', () => {
    expect(comparisonText({ same: true, manifest: [], config: [], layers: [] })).toContain('are the same')
  })

  it('shows what differs, in lines that no file name can break', () => {
    const text = comparisonText({
      same: false,
      manifest: [],
      config: [{ name: 'created', before: 'a', after: undefined }],
      layers: [
        {
          index: 1,
          createdBy: 'RUN make',
          before: digest('a'),
          after: digest('b'),
          files: [
            {
              path: 'bin/a\nb',
              kind: 'changed',
              fields: [{ name: 'content', before: digest('c'), after: digest('d') }],
            },
            { path: 'x', kind: 'added', fields: [] },
          ],
        },
        { index: 2, createdBy: undefined, before: digest('a'), after: digest('b'), files: [] },
        { index: 3, createdBy: undefined, before: undefined, after: digest('b'), files: undefined },
      ],
    })
    expect(text).toBe(
      [
        'config',
        '  created: a → (none)',
        '',
        'layer 1  RUN make',
        '  changed bin/a\\nb',
        '    content: sha256:cccccccccccc → sha256:dddddddddddd',
        '  added   x',
        '',
        'layer 2',
        '  the files are the same, their tar is not: another tool wrote it, or with other headers',
        '',
        'layer 3',
        '  only in the second image',
        '',
      ].join('\n'),
    )
  })

  it('cuts long lists', () => {
    const files = Array.from({ length: 130 }, (_, at) => ({
      path: `f${at}`,
      kind: 'added' as const,
      fields: [],
    }))
    const text = comparisonText({
      same: false,
      manifest: [],
      config: [],
      layers: [{ index: 0, createdBy: undefined, before: digest('a'), after: digest('b'), files }],
    })
    expect(text).toContain('and 30 more')
    expect(text).not.toContain('f100')
  })
})
