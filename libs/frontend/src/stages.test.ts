import { describe, expect, it } from 'vitest'
import { convertText, execsOf, namesOf, vertexOf } from './testing/convert-text.ts'

const arm = { os: 'linux', architecture: 'arm64' } as const

describe('toGraph() and stages', () => {
  it('toGraph() builds the last stage and looks at no other that it does not need', async () => {
    const text =
      'FROM missing AS broken\nRUN false\nFROM base AS build\nRUN make\nFROM base\nCOPY --from=build /a /b\n'
    const result = await convertText(text)
    expect(result.requests).toEqual(['base linux/amd64'])
    expect(namesOf(result)).toEqual([
      expect.stringMatching(/^\[stage-2 1\/2\] FROM registry\.test\/base:latest@sha256:/),
      '[build 2/2] RUN make',
      '[stage-2 2/2] COPY --from=build /a /b',
    ])
  })

  it.each([
    ['build', 'first'],
    ['BUILD', 'first'],
    ['0', 'first'],
    ['1', 'second'],
  ])('toGraph() finds target %s', async (target, command) => {
    const result = await convertText('FROM base AS Build\nRUN first\nFROM base\nRUN second\n', { target })
    expect(execsOf(result).map(({ args }) => args.at(-1))).toEqual([command])
  })

  it('toGraph() refuses an unknown target and proposes a near one', async () => {
    await expect(convertText('FROM base AS build\n', { target: 'biuld' })).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_STAGE_NOT_FOUND',
      hints: ['Did you mean `build`?'],
    })
  })

  it('toGraph() builds a stage once that two stages need', async () => {
    const text =
      'FROM base AS shared\nRUN once\nFROM shared AS left\nRUN l\nFROM shared\nRUN r\nCOPY --from=left /l /\n'
    const result = await convertText(text)
    expect(execsOf(result).filter(({ args }) => args.at(-1) === 'once')).toHaveLength(1)
    const once = vertexOf(result, 'RUN once').digest
    expect(vertexOf(result, 'RUN l').inputs).toEqual([once])
    expect(vertexOf(result, 'RUN r').inputs).toEqual([once])
  })

  it('toGraph() numbers steps per stage, triggers included, and names no stage in a file with one', async () => {
    const single = await convertText('FROM base\nENV a=1\nWORKDIR /w\nRUN x\n')
    expect(namesOf(single).slice(1)).toEqual(['[2/3] WORKDIR /w', '[3/3] RUN x'])
    const scratch = await convertText('FROM scratch AS s\nCOPY a /\n')
    expect(namesOf(scratch)).toEqual(['[internal] load build context', '[s 1/1] COPY a /'])
    const child = await convertText('FROM base AS a\nRUN 1\nFROM a AS b\nRUN 2\n')
    expect(namesOf(child).slice(1)).toEqual(['[a 2/2] RUN 1', '[b 1/1] RUN 2'])
  })

  it('toGraph() takes a stage name before an image and the last of two with one name', async () => {
    const text = 'FROM base AS x\nRUN 1\nFROM base AS x\nRUN 2\nFROM x\nRUN 3\n'
    expect(execsOf(await convertText(text)).map(({ args }) => args.at(-1))).toEqual(['2', '3'])
  })

  it('toGraph() takes a number after FROM for an image and after --from for a stage', async () => {
    const result = await convertText('FROM base\nRUN 1\nFROM 0\nCOPY --from=0 /a /\n', { images: { 0: {} } })
    expect(result.requests).toEqual(['0 linux/amd64', 'base linux/amd64'])
    expect(execsOf(result)).toHaveLength(1)
  })

  it('toGraph() copies from an image and from a stage named in another case', async () => {
    const text = 'FROM base AS Build\nRUN 1\nFROM scratch\nCOPY --from=BUILD /a /\nCOPY --from=tools:1 /b /\n'
    const result = await convertText(text, { images: { 'tools:1': {} } })
    expect(result.requests.toSorted()).toEqual(['base linux/amd64', 'tools:1 linux/amd64'])
    expect(vertexOf(result, 'COPY --from=BUILD /a /').inputs).toEqual([vertexOf(result, 'RUN 1').digest])
  })

  it('toGraph() gives an empty graph for an image without files', async () => {
    const { graph, image } = await convertText('FROM scratch\nCMD ["/x"]\n')
    expect(graph).toEqual({ vertices: [], target: undefined })
    expect(image.config.cmd).toEqual(['/x'])
  })
})

describe('toGraph() and platforms of stages', () => {
  it('toGraph() asks for the target platform, and for that of --platform', async () => {
    const text = 'FROM --platform=$BUILDPLATFORM base AS build\nRUN x\nFROM base\nCOPY --from=build /a /\n'
    const result = await convertText(text, { platform: arm })
    expect(result.requests).toEqual(['base linux/arm64', 'base linux/amd64'])
    expect(execsOf(result).map((op) => op.platform)).toEqual(['linux/amd64'])
    expect(result.image.platform).toEqual(arm)
  })

  it('toGraph() passes the platform on to stages upon the stage, and takes --from images for that of the build', async () => {
    const text = 'FROM --platform=linux/arm/v7 base AS a\nFROM a\nRUN x\nCOPY --from=tools /t /\n'
    const result = await convertText(text, { images: { tools: {} } })
    expect(result.requests.toSorted()).toEqual(['base linux/arm/v7', 'tools linux/amd64'])
    expect(execsOf(result)[0]?.platform).toBe('linux/arm/v7')
  })

  it('toGraph() runs the steps of a stage upon a stage on the platform of its files, whatever FROM says', async () => {
    const text = 'FROM base AS a\nFROM --platform=linux/arm64 a\nRUN x\n'
    const result = await convertText(text)
    expect(result.requests).toEqual(['base linux/amd64'])
    expect(execsOf(result)[0]?.platform).toBe('linux/amd64')
  })

  it('toGraph() refuses a malformed platform at its FROM', async () => {
    await expect(convertText('ARG P\n\nFROM --platform=$P base\n')).rejects.toMatchObject({
      code: 'ERR_PLATFORM_INVALID',
      source: { startLine: 3 },
    })
  })
})

describe('toGraph() refuses', () => {
  it.each([
    ['an unknown image', 'FROM nope\n', 'ERR_IMAGE_NOT_FOUND', 1, undefined],
    [
      'a mistyped base stage',
      'FROM base AS build\nFROM biuld\n',
      'ERR_IMAGE_NOT_FOUND',
      2,
      'Did you mean `build`?',
    ],
    [
      'a mistyped --from',
      'FROM base AS build\nFROM base\nCOPY --from=biuld a b\n',
      'ERR_IMAGE_NOT_FOUND',
      3,
      'Did you mean `build`?',
    ],
    ['an empty base name', 'ARG X\nFROM $X\n', 'ERR_REFERENCE_INVALID', 2, /Give the ARG a default/],
    [
      'a later stage',
      'FROM base AS a\nCOPY --from=b x /\nFROM base AS b\nRUN x\n',
      'ERR_DOCKERFILE_STAGE_NOT_FOUND',
      2,
      undefined,
      'a',
    ],
    [
      'a circle',
      'FROM base AS a\nCOPY --from=b x /\nFROM a AS b\nRUN x\n',
      'ERR_DOCKERFILE_CYCLE',
      2,
      undefined,
      'a',
    ],
    [
      'a stage that copies from itself',
      'FROM base AS a\nCOPY --from=a x /\n',
      'ERR_DOCKERFILE_CYCLE',
      2,
      undefined,
    ],
    ['its own number', 'FROM base\nCOPY --from=0 x /\n', 'ERR_DOCKERFILE_CYCLE', 2, undefined],
    [
      'a variable in --from',
      'ARG V=1\nFROM base\nCOPY --from=img:$V x /\n',
      'ERR_DOCKERFILE_SYNTAX',
      3,
      undefined,
    ],
    ['RUN --security=insecure', 'FROM base\nRUN --security=insecure x\n', 'ERR_ENTITLEMENT', 2, undefined],
    ['a volume that expands to nothing', 'FROM base\nVOLUME $X\n', 'ERR_DOCKERFILE_SYNTAX', 2, undefined],
    ['an unknown signal', 'FROM base\nSTOPSIGNAL $X\n', 'ERR_DOCKERFILE_SYNTAX', 2, undefined],
    ['a malformed port', 'FROM base\nARG P=x\nEXPOSE $P\n', 'ERR_DOCKERFILE_SYNTAX', 3, undefined],
    ['a failed condition', 'FROM base\nENV A=${B:?needed}\n', 'ERR_DOCKERFILE_EXPANSION', 2, undefined],
    [
      'a broken trigger of the base',
      'FROM base AS x\n\nFROM onbuild\n',
      'ERR_DOCKERFILE_UNKNOWN_INSTRUCTION',
      3,
      undefined,
    ],
  ] as const)('%s', async (_, text, code, startLine, hint, target?: string) => {
    const images = { onbuild: { config: { onBuild: ['RUNN x'] } } }
    const error: unknown = await convertText(text, { images, target }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code, source: { file: 'Dockerfile', startLine } })
    const hints = (error as { readonly hints: readonly string[] }).hints
    if (hint === undefined) expect(hints.filter((text) => text.startsWith('Did you mean `b'))).toEqual([])
    else expect(hints).toContainEqual(typeof hint === 'string' ? hint : expect.stringMatching(hint))
  })

  it('a variable in --from with the way around it, also in an image of the name', async () => {
    await expect(convertText('FROM base\nCOPY --from=$X a b\n', { images: { $X: {} } })).rejects.toThrow(
      'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround',
    )
  })
})
