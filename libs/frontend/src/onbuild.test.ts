import { describe, expect, it } from 'vitest'
import { convertText, execsOf, filesOf, namesOf, vertexOf } from './testing/convert-text.ts'

const commands = (result: Awaited<ReturnType<typeof convertText>>) =>
  execsOf(result).map(({ args }) => args.at(-1))

const withTriggers = (onBuild: readonly string[]) => ({
  images: { base: { config: { onBuild } }, tools: {} },
})

describe('toGraph() and ONBUILD', () => {
  it('stores triggers as text, heredocs included', async () => {
    const { image } = await convertText('FROM base\nONBUILD RUN <<E\nx\nE\nONBUILD COPY $A \\\n  /b\n')
    expect(image.config.onBuild).toEqual(['RUN <<E\nx\nE', 'COPY $A   /b'])
  })

  it('triggers run right after FROM, before the instructions of the stage', async () => {
    const text = 'FROM base AS a\nONBUILD RUN t\nFROM a\nENV A=1\nRUN own\n'
    expect(commands(await convertText(text))).toEqual(['t', 'own'])
  })

  it('triggers run in every stage upon their owner, and never twice', async () => {
    const text =
      'FROM base AS a\nONBUILD RUN t $N\nFROM a AS b\nARG N=b\nRUN b\nFROM b AS c\nRUN c\nFROM a\nRUN d\nCOPY --from=c / /\n'
    const result = await convertText(text)
    expect(commands(result).filter((command) => command?.startsWith('t'))).toEqual(['t $N'])
    expect(vertexOf(result, 'RUN b').inputs).toEqual(vertexOf(result, 'RUN d').inputs)
  })

  it('triggers are not inherited by the stage after the next, nor left in its image', async () => {
    const text = 'FROM base AS a\nONBUILD RUN t\nFROM a AS b\nFROM b\nRUN c\n'
    const result = await convertText(text)
    expect(commands(result)).toEqual(['t', 'c'])
    expect(result.image.config.onBuild).toBeUndefined()
  })

  it('a stage upon a triggered one may leave triggers of its own', async () => {
    const text = 'FROM base AS a\nONBUILD RUN t\nFROM a AS b\nONBUILD RUN u\n'
    expect((await convertText(text)).image.config.onBuild).toEqual(['RUN u'])
  })

  it('a trigger adds a dependency on a stage of the file that the target did not need', async () => {
    const text = 'FROM base AS build\nRUN make\nFROM base AS a\nONBUILD COPY --from=build /x /y\nFROM a\n'
    const result = await convertText(text)
    expect(commands(result)).toEqual(['make'])
    expect(vertexOf(result, 'COPY --from=build /x /y').inputs[1]).toBe(vertexOf(result, 'RUN make').digest)
  })

  it('a trigger of a base image adds a stage of this file, by name and by number', async () => {
    const text = 'FROM other AS build\nRUN make\nFROM base\n'
    const triggers = withTriggers(['COPY --from=build /x /', 'COPY --from=0 /y /'])
    const images = { ...triggers.images, other: {} }
    expect(commands(await convertText(text, { images }))).toEqual(['make'])
  })

  it('a trigger adds a dependency on an image', async () => {
    const result = await convertText('FROM base\n', withTriggers(['COPY --from=tools /t /']))
    expect(result.requests).toEqual(['base linux/amd64', 'tools linux/amd64'])
  })

  it('a trigger may copy from the build context, add a URL and link', async () => {
    const triggers = ['COPY a /', 'ADD https://h.test/f /', 'COPY --link b /']
    const result = await convertText('FROM base\n', withTriggers(triggers))
    expect(result.graph.vertices.map(({ op }) => op.kind)).toEqual([
      'image',
      'local',
      'file',
      'http',
      'file',
      'file',
      'merge',
    ])
  })

  it('a trigger mounts a stage of the file that its FROM stands in', async () => {
    const triggers = withTriggers(['RUN --mount=from=x,source=a,target=t true'])
    const text = 'FROM other AS x\nRUN make\nFROM base\nWORKDIR /w\n'
    const result = await convertText(text, { images: { ...triggers.images, other: {} } })
    const trigger = vertexOf(result, 'true')
    expect(trigger.inputs).toEqual([expect.any(String), vertexOf(result, 'RUN make').digest])
    expect(trigger).toMatchObject({
      source: { startLine: 3 },
      op: { mounts: [{ kind: 'bind', input: 1, source: '/a', target: '/t', readOnly: true }] },
    })
  })

  it('heredocs of triggers are expanded where they run', async () => {
    const text =
      'FROM base AS a\nENV A=1\nONBUILD COPY <<f /x/\n$A\nf\nONBUILD RUN <<E\n$A\nE\nFROM a\nENV A=2\n'
    const result = await convertText(text)
    expect(filesOf(result)[0]?.actions).toMatchObject([{ name: 'f', content: '1\n' }])
    expect(commands(result)).toEqual(['$A\n'])
  })

  it('a trigger of a shebang heredoc has its file', async () => {
    const result = await convertText('FROM base\n', withTriggers(['RUN <<E\n#!x\nE']))
    expect(execsOf(result)[0]?.scripts).toEqual([{ path: '/dev/pipes/E', content: '#!x\n' }])
  })

  it('triggers count among the steps of the stage that runs them', async () => {
    const result = await convertText('FROM base\nRUN x\n', withTriggers(['ENV A=1', 'RUN t']))
    expect(namesOf(result).slice(1)).toEqual(['[2/3] RUN t', '[3/3] RUN x'])
  })

  it.each([
    ['ONBUILD ONBUILD RUN x', "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
    ['ONBUILD FROM x', "FROM isn't allowed as an ONBUILD trigger"],
    ['ONBUILD MAINTAINER x', "MAINTAINER isn't allowed as an ONBUILD trigger"],
  ])('%s is refused', async (text, why) => {
    await expect(convertText(`FROM base\n${text}\n`)).rejects.toMatchObject({
      message: expect.stringContaining(why),
      source: { startLine: 2 },
    })
  })

  it.each(['ONBUILD RUN x', 'FROM x', 'MAINTAINER x', 'RUN a\nRUN b', ''])(
    'the trigger %j of a base image is refused at the FROM',
    async (trigger) => {
      await expect(convertText('FROM scratch\nFROM base\n', withTriggers([trigger]))).rejects.toMatchObject({
        kind: 'user',
        source: { startLine: 2 },
      })
    },
  )

  it('a trigger that copies from the stage it runs in is a circle', async () => {
    const text = 'FROM base AS a\nONBUILD COPY --from=b /x /\nFROM a AS b\n'
    await expect(convertText(text)).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_CYCLE',
      message: expect.stringContaining('circular dependency detected on stage "b"'),
      source: { startLine: 3 },
    })
  })
})
