import { digestBytes } from '@tsbuild/digest'
import type { GitOp, HttpOp } from '@tsbuild/graph'
import { describe, expect, it } from 'vitest'
import { contextOf, convertText, execsOf, filesOf, vertexOf } from './testing/convert-text.ts'

const stepsText = 'FROM base\nWORKDIR /w\nCOPY <<f /\nx\nf\nRUN x\n'

/** The date of the result and the times in it. */
async function dated(text: string, options = {}) {
  const result = await convertText(text, options)
  const times = filesOf(result).flatMap(({ actions }) =>
    actions.map((action) => (action.kind === 'copy' ? 'as the source' : action.mtime)),
  )
  return { result, times, seconds: result.sourceDateEpoch }
}

const context = contextOf({
  sourceDate: async (name) => (name === 'context' ? 111 : name === 'src' ? 222 : undefined),
  remoteDate: async ({ kind }) => (kind === 'http' ? 333 : 444),
})

describe('toGraph() and SOURCE_DATE_EPOCH', () => {
  it.each([
    ['a build argument', stepsText, { SOURCE_DATE_EPOCH: '1700000000' }, 1_700_000_000],
    ['zero', stepsText, { SOURCE_DATE_EPOCH: '0' }, 0],
    ['the default of a global ARG', `ARG SOURCE_DATE_EPOCH=5\n${stepsText}`, {}, 5],
    ['a default made of another ARG', `ARG T=6\nARG SOURCE_DATE_EPOCH=$T\n${stepsText}`, {}, 6],
    [
      'a build argument before the default',
      `ARG SOURCE_DATE_EPOCH=5\n${stepsText}`,
      { SOURCE_DATE_EPOCH: '7' },
      7,
    ],
    ['context', stepsText, { SOURCE_DATE_EPOCH: 'context' }, 111],
    ['context as a default', `ARG SOURCE_DATE_EPOCH=context\n${stepsText}`, {}, 111],
    ['a named context', stepsText, { SOURCE_DATE_EPOCH: 'src' }, 222],
    [
      'a named context before a stage of the name',
      `FROM scratch AS src\nADD https://h.test/f /\n${stepsText}`,
      { SOURCE_DATE_EPOCH: 'src' },
      222,
    ],
  ])('%s dates image, directories and heredocs', async (_, text, buildArgs, seconds) => {
    const namedContexts = new Map([['src', { kind: 'files' }]])
    const found = await dated(text, { buildArgs, context, namedContexts })
    expect(found.seconds).toBe(seconds)
    expect(found.times).toEqual([seconds, seconds])
  })

  it.each([
    ['nothing', {}],
    ['an empty word', { SOURCE_DATE_EPOCH: '' }],
    ['a context without a date', { SOURCE_DATE_EPOCH: 'old' }],
    ['an image', { SOURCE_DATE_EPOCH: 'img' }],
  ])('%s dates nothing', async (_, buildArgs) => {
    const namedContexts = new Map([
      ['old', { kind: 'files' }],
      ['img', { kind: 'image', reference: 'nowhere' }],
    ])
    const text = `ARG SOURCE_DATE_EPOCH\nFROM base\nARG SOURCE_DATE_EPOCH\nWORKDIR /w\nRUN x\n`
    const found = await dated(text, { buildArgs, context, namedContexts })
    expect(found.seconds).toBeUndefined()
    expect(found.times).toEqual([undefined])
    expect(execsOf(found.result)[0]?.env.join()).not.toContain('SOURCE_DATE_EPOCH')
  })

  it.each([
    ['FROM base\nARG SOURCE_DATE_EPOCH\nRUN x\n', { SOURCE_DATE_EPOCH: 'context' }],
    ['ARG SOURCE_DATE_EPOCH=context\nFROM base\nARG SOURCE_DATE_EPOCH\nRUN x\n', {}],
  ])('a stage that declares it sees the number: %j', async (text, buildArgs) => {
    const { result } = await dated(text, { buildArgs, context })
    expect(execsOf(result)[0]?.env).toContain('SOURCE_DATE_EPOCH=111')
  })

  it('a stage that does not declare it does not see it', async () => {
    const { result } = await dated('FROM base\nRUN x\n', { buildArgs: { SOURCE_DATE_EPOCH: '5' } })
    expect(execsOf(result)[0]?.env.join()).not.toContain('SOURCE_DATE_EPOCH')
    expect(result.warnings).toEqual([])
  })

  it('an ARG of a stage dates nothing', async () => {
    expect((await dated('FROM base\nARG SOURCE_DATE_EPOCH=5\nWORKDIR /w\n')).times).toEqual([undefined])
  })

  it.each(['yesterday', '1.5', '1e3', '-1', '253402300800', '99999999999999999999'])(
    'the value %s is refused',
    async (value) => {
      await expect(dated('FROM base\n', { buildArgs: { SOURCE_DATE_EPOCH: value } })).rejects.toMatchObject({
        code: 'ERR_SOURCE_DATE',
        message: expect.stringContaining(`"${value}"`),
      })
      const inFile = dated(`\nARG SOURCE_DATE_EPOCH=${value}\nFROM base\n`)
      await expect(inFile).rejects.toMatchObject({ code: 'ERR_SOURCE_DATE', source: { startLine: 2 } })
    },
  )
})

describe('toGraph() and a source-only stage of SOURCE_DATE_EPOCH', () => {
  const asked = async (stage: string, buildArgs = {}) => {
    const seen: (HttpOp | GitOp)[] = []
    const facts = contextOf({
      remoteDate: async (op) => {
        seen.push(op)
        return 333
      },
    })
    const text = `ARG G=g\n${stage}\nFROM base\nWORKDIR /w\n`
    const found = await dated(text, { buildArgs: { SOURCE_DATE_EPOCH: 'SRC', ...buildArgs }, context: facts })
    return { ...found, seen }
  }

  it('the date of a URL is asked for, and the stage is not built for it', async () => {
    const { seen, seconds, result } = await asked(
      `FROM scratch AS src\nADD --checksum=${digestBytes('f')} https://h.test/f /x`,
    )
    expect(seen).toEqual([
      { kind: 'http', url: 'https://h.test/f', filename: 'f', checksum: digestBytes('f') },
    ])
    expect(seconds).toBe(333)
    expect(result.graph.vertices.map(({ op }) => op.kind)).toEqual(['image', 'file'])
  })

  it('ARGs of the stage, build arguments and global ARGs are known there', async () => {
    const { seen } = await asked(
      'FROM scratch AS src\nARG V=1 W=2\nARG R=$V$W$G\nADD --keep-git-dir https://h.test/r.git#$R /',
      { W: '3' },
    )
    expect(seen).toMatchObject([{ kind: 'git', ref: '13g', keepGitDir: true }])
  })

  it('the number itself is not known there', async () => {
    const text = 'FROM scratch AS src\nADD https://h.test/f${SOURCE_DATE_EPOCH} /\nFROM base\n'
    const result = await convertText(`ARG SOURCE_DATE_EPOCH=src\n${text}`, { context })
    expect(result.sourceDateEpoch).toBe(333)
  })

  it.each([
    ['FROM base AS src\nADD https://h.test/f /', 2],
    ['FROM scratch AS src', 2],
    ['FROM scratch AS src\nADD a /', 3],
    ['FROM scratch AS src\nADD https://h.test/f https://h.test/g /', 3],
    ['FROM scratch AS src\nADD https://h.test/f <<E /\nx\nE', 3],
    ['FROM scratch AS src\nADD https://h.test/f /\nADD https://h.test/g /', 4],
    ['FROM scratch AS src\nADD https://h.test/f /\nENV A=1', 4],
    ['FROM scratch AS src\nCOPY a /', 3],
  ])('a stage that does more or less is refused: %j', async (stage, startLine) => {
    await expect(asked(stage)).rejects.toMatchObject({ code: 'ERR_SOURCE_DATE', source: { startLine } })
  })
})

describe('toGraph() and times without SOURCE_DATE_EPOCH', () => {
  it('directories and heredocs have the time of the build', async () => {
    expect((await dated(stepsText)).times).toEqual([undefined, undefined])
  })

  it('copied files keep their time, whatever the date is', async () => {
    const { result } = await dated('FROM base\nCOPY a /\n', { buildArgs: { SOURCE_DATE_EPOCH: '5' } })
    const plain = await convertText('FROM base\nCOPY a /\n')
    expect(vertexOf(result, 'COPY a /').digest).toBe(vertexOf(plain, 'COPY a /').digest)
  })
})
