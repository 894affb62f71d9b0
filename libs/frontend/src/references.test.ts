import { EnvironmentError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { convertText, convertWith, execsOf, namesOf, vertexOf } from './testing/convert-text.ts'

const refused = async (text: string, options = {}) => {
  const error: unknown = await convertText(text, options).catch((thrown: unknown) => thrown)
  return error
}

describe('toGraph() and --from', () => {
  it('the last of two stages with one name is meant', async () => {
    const text = 'FROM base AS x\nRUN 1\nFROM base AS X\nRUN 2\nFROM base\nCOPY --from=x /a /\n'
    const result = await convertText(text)
    expect(vertexOf(result, '/a /').inputs[1]).toBe(vertexOf(result, 'RUN 2').digest)
  })

  it('a stage of the name before the reader is meant, if a later one has it too', async () => {
    const text = 'FROM base AS x\nRUN 1\nFROM base AS y\nCOPY --from=x /a /\nFROM base AS x\nRUN 2\n'
    const result = await convertText(text, { target: 'y' })
    expect(vertexOf(result, '/a /').inputs[1]).toBe(vertexOf(result, 'RUN 1').digest)
  })

  it.each(['7', '-1'])('--from=%s, a number that no stage has, is refused', async (number) => {
    expect(await refused(`FROM base\nFROM base\nCOPY --from=${number} a /\n`)).toMatchObject({
      code: 'ERR_DOCKERFILE_STAGE_NOT_FOUND',
      message: expect.stringContaining('invalid stage index'),
      source: { startLine: 3 },
    })
  })

  it.each(['ERR_REGISTRY_AUTH', 'ERR_REGISTRY_UNREACHABLE'] as const)(
    'a name that a registry answers with %s may be a stage mistyped',
    async (code) => {
      const resolveImage = () => Promise.reject(new EnvironmentError(code, 'no'))
      const text = 'FROM scratch AS build\nFROM scratch\nCOPY --from=biuld / /\n'
      const result = convertWith(text, resolveImage)
      await expect(result).rejects.toMatchObject({
        kind: 'environment',
        code,
        hints: ['Did you mean `build`?'],
        source: { startLine: 3 },
      })
    },
  )

  it('a stage name masks an image of that name', async () => {
    const result = await convertText('FROM base AS tools\nRUN x\nFROM base\nCOPY --from=Tools /a /\n')
    expect(result.requests).toEqual(['base linux/amd64'])
    expect(execsOf(result)).toHaveLength(1)
  })

  it('an image without layers is scratch', async () => {
    const images = { none: { layers: 0, config: { env: ['A=1'] } } }
    const result = await convertText('FROM none\nRUN x\n', { images })
    expect(namesOf(result)).toEqual(['[1/1] RUN x'])
    expect(execsOf(result)[0]).toMatchObject({ rootfs: undefined, env: expect.arrayContaining(['A=1']) })
    const copied = await convertText('FROM base\nCOPY --from=none / /\n', { images })
    expect(copied.graph.vertices.some(({ op }) => op.kind === 'image' && op.layers.length === 0)).toBe(false)
  })

  it('an unused stage may be broken in every way', async () => {
    const text = [
      'FROM missing AS a',
      'FROM base AS b',
      'COPY --from=c / /',
      'RUN --mount=type=wrong x',
      'ENV A=${A?no}',
      'FROM b AS c',
      'COPY --from=b / /',
      'FROM base',
      'RUN x',
    ]
    expect(execsOf(await convertText(text.join('\n')))).toHaveLength(1)
  })
})

describe('toGraph() and circles', () => {
  const text = (line: string) =>
    `FROM base AS a\n${line}\nFROM base AS b\nCOPY --from=a / /\nFROM b AS c\nRUN x\n`

  it.each([
    ['a copy', 'COPY --from=b / /'],
    ['a copy by number', 'COPY --from=1 / /'],
    ['a copy from a stage that is based on it', 'COPY --from=c / /'],
    ['a mount', 'RUN --mount=from=b,target=/b x'],
    ['a mount in another case', 'RUN --mount=type=bind,from=C,target=/b x'],
    ['itself', 'COPY --from=a / /'],
    ['itself in a mount', 'RUN --mount=from=a,target=/b x'],
  ])('%s that closes a circle is refused', async (_, line) => {
    expect(await refused(text(line))).toMatchObject({
      code: 'ERR_DOCKERFILE_CYCLE',
      message: expect.stringContaining('circular dependency detected on stage "a"'),
      source: { startLine: 2 },
    })
  })

  it('a circle through mounts is found', async () => {
    const dockerfile =
      'FROM base AS a\nCOPY --from=b / /\nFROM base AS b\nRUN --mount=from=a,target=/a x\nFROM a\nRUN x\n'
    expect(await refused(dockerfile)).toMatchObject({
      code: 'ERR_DOCKERFILE_CYCLE',
      source: { startLine: 2 },
    })
  })

  it.each(['COPY --from=later / /', 'RUN --mount=from=later,target=/b x'])(
    '%s without a circle must come later',
    async (line) => {
      expect(await refused(`FROM base AS a\n${line}\nFROM base AS later\nRUN x\nFROM a\n`)).toMatchObject({
        code: 'ERR_DOCKERFILE_STAGE_NOT_FOUND',
        message: expect.stringContaining('it needs to be defined before current stage "a"'),
      })
    },
  )
})

describe('toGraph() and mounts', () => {
  it.each([
    ['type=tmpf', /unsupported mount type "tmpf"/, /tmpfs/],
    ['typ=tmpfs', /unexpected key 'typ'/, /type/],
    ['type=bind,target=/', /invalid mount target "\/"/, undefined],
    ['type=cache,target=..', /invalid mount target "\/"/, /WORKDIR/],
    ['type=tmpfs,target=/t,size=$S', /invalid value for size: x/, undefined],
    ['type=$T,target=/t', /unsupported mount type "x"/, undefined],
    ['type=secret,id=a,env=', /invalid value for env/, undefined],
    ['type=bind,target=/t,mode=0', /mode not allowed/, undefined],
    ['type=bind,target=${S?no}${N?needed}', /needed/, undefined],
  ])('a RUN with --mount=%s tells the mistake before anything else', async (mount, why, hint) => {
    const error = await refused(`FROM base\nWORKDIR /w\nARG T=x S=x\nRUN --mount=${mount} y\n`)
    expect(error).toMatchObject({
      code: expect.stringMatching(/MOUNT_OPTION|EXPANSION/),
      message: expect.stringMatching(why),
      source: { startLine: 4 },
    })
    const hints = hint === undefined ? expect.any(Array) : [expect.stringMatching(hint)]
    expect(error).toMatchObject({ hints })
  })
})

describe('toGraph() and --target', () => {
  const text = 'FROM base AS Build\nRUN 1\nFROM base AS build\nRUN 2\nFROM base AS test\nRUN 3\n'

  it('the last of two stages with one name is the target', async () => {
    expect(execsOf(await convertText(text, { target: 'BUILD' })).map(({ args }) => args.at(-1))).toEqual([
      '2',
    ])
    expect(execsOf(await convertText(text, { target: '0' })).map(({ args }) => args.at(-1))).toEqual(['1'])
  })

  it.each([
    ['tset', ['Did you mean `test`?']],
    ['9', [expect.stringContaining('`build`')]],
  ])('the unknown target %s is refused with what there is', async (target, hints) => {
    expect(await refused(text, { target })).toMatchObject({ code: 'ERR_DOCKERFILE_STAGE_NOT_FOUND', hints })
  })

  it('an unknown target is refused before any image is asked for', async () => {
    const resolveImage = () => Promise.reject(new Error('must not be asked'))
    const error = await refused(text, { target: 'none', resolveImage })
    expect(error).toMatchObject({ code: 'ERR_DOCKERFILE_STAGE_NOT_FOUND' })
  })
})
