import { describe, expect, it } from 'vitest'
import { convertText, filesOf, historyOf, vertexOf } from './testing/convert-text.ts'

const linked = async (text: string, options = {}) => {
  const result = await convertText(text, options)
  const merge = result.graph.vertices.at(-1)
  const copy = result.graph.vertices.find(({ digest }) => digest === merge?.inputs[1])
  return { result, merge, copy }
}

describe('toGraph() and --link', () => {
  it.each(['COPY', 'ADD'])('%s --link is a layer on nothing and a merge upon the stage', async (keyword) => {
    const { result, merge, copy } = await linked(`FROM base\nRUN x\n${keyword} --link a /b/\n`)
    const context = vertexOf(result, 'load build context').digest
    expect(merge).toMatchObject({
      op: { kind: 'merge' },
      inputs: [vertexOf(result, 'RUN x').digest, copy?.digest],
      name: `[3/3] LINK ${keyword} --link a /b/`,
      source: { startLine: 3 },
    })
    expect(copy).toMatchObject({
      op: {
        kind: 'file',
        rootfs: undefined,
        owners: undefined,
        actions: [{ kind: 'copy', input: 0, sources: ['a'], dest: '/b/' }],
      },
      inputs: [context],
      name: `[3/3] ${keyword} --link a /b/`,
    })
    expect(result.graph.target).toBe(merge?.digest)
  })

  it.each(['', '--chown=1000:1000 ', '--chown=7 ', '--chmod=0640 ', '--chmod=u+x --chown=1 '])(
    'COPY --link %sis the same layer upon every base',
    async (flags) => {
      const text = (from: string) => `FROM ${from}\nWORKDIR /w\nCOPY --link ${flags}a b\n`
      const images = { other: {} }
      const [one, two] = [await linked(text('base')), await linked(text('other'), { images })]
      expect(one.copy?.digest).toBe(two.copy?.digest)
      expect(one.merge?.digest).not.toBe(two.merge?.digest)
    },
  )

  it('COPY --link keeps --chmod, which BuildKit drops --link for', async () => {
    const { copy } = await linked('FROM base\nCOPY --link --chmod=0600 a /\n')
    expect(copy?.op).toMatchObject({ rootfs: undefined, actions: [{ chmod: '0600' }] })
  })

  it.each(['app', 'app:1', '1:staff', 'app:staff'])(
    'COPY --link --chown=%s looks the name up in the stage, of which nothing else counts',
    async (chown) => {
      const { result, merge, copy } = await linked(`FROM base\nRUN x\nCOPY --link --chown=${chown} a /\n`)
      const stage = vertexOf(result, 'RUN x').digest
      expect(copy).toMatchObject({
        op: { rootfs: undefined, owners: 0, actions: [{ input: 1, chown }] },
        inputs: [stage, vertexOf(result, 'load build context').digest],
      })
      expect(merge?.inputs).toEqual([stage, copy?.digest])
    },
  )

  it('COPY --link into scratch is a copy and needs no merge', async () => {
    const result = await convertText('FROM scratch\nCOPY --link a /\n')
    expect(result.graph.vertices.map(({ op }) => op.kind)).toEqual(['local', 'file'])
  })

  it('COPY --link=false is a plain copy', async () => {
    const result = await convertText('FROM base\nCOPY --link=false a /\n')
    expect(filesOf(result)).toMatchObject([{ rootfs: 0, owners: undefined }])
  })

  it('COPY --link is one entry of the history, with one layer and without the flag', async () => {
    const { result } = await linked('FROM base\nCOPY --link --chown=1:2 a <<E /\nx\nE\n')
    expect(historyOf(result)).toEqual(['COPY --chown=1:2 a <<E / # buildkit'])
  })

  it('COPY --link takes its place from WORKDIR and expands its words', async () => {
    const { copy } = await linked('FROM base\nWORKDIR /w\nENV D=d\nCOPY --link a $D/\n')
    expect(copy?.op).toMatchObject({ actions: [{ dest: '/w/d/' }] })
  })

  it('COPY --link --from copies from a stage, which may be the one it is merged upon', async () => {
    const { result, copy } = await linked(
      'FROM base AS a\nRUN x\nFROM a\nCOPY --link --from=a --chown=u /x /y\n',
    )
    const stage = vertexOf(result, 'RUN x').digest
    expect(copy).toMatchObject({ op: { owners: 0, actions: [{ input: 1 }] }, inputs: [stage, stage] })
  })

  it('steps after COPY --link stand upon the merge', async () => {
    const result = await convertText('FROM base\nCOPY --link a /\nRUN x\n')
    expect(vertexOf(result, 'RUN x').inputs).toEqual([vertexOf(result, 'LINK COPY --link a /').digest])
  })

  it('--no-cache forces the copy of COPY --link', async () => {
    const { copy } = await linked('FROM base\nCOPY --link a /\n', { noCache: true })
    expect(copy?.ignoreCache).toBe(true)
  })
})
