import { describe, expect, it } from 'vitest'
import { convertText } from './testing/convert-text.ts'

const numbered = (count: number, line: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => line(at)).join('\n')

/** What took the square of the number of lines took a minute and more for these. */
const timeout = 30_000

describe('toGraph() and files of many lines', () => {
  it.each([
    ['LABEL', numbered(10_000, (at) => `LABEL l${at}=${at}`)],
    ['ENV', numbered(10_000, (at) => `ENV E${at}=${at}`)],
    ['EXPOSE', numbered(10_000, (at) => `EXPOSE ${at + 1}`)],
    ['EXPOSE of every port', 'EXPOSE 1-65535'],
    ['VOLUME', numbered(10_000, (at) => `VOLUME /v${at}`)],
    ['ONBUILD', numbered(50_000, (at) => `ONBUILD RUN ${at}`)],
    ['RUN', numbered(10_000, (at) => `RUN ${at}`)],
  ])(
    'toGraph() takes %s',
    async (_, lines) => {
      const { graph, image } = await convertText(`FROM base\n${lines}\n`)
      expect(image.history).toHaveLength(lines.split('\n').length)
      expect(graph.vertices.length).toBe(lines.startsWith('RUN') ? 10_001 : 1)
    },
    timeout,
  )

  it(
    'toGraph() goes through 2,000 stages upon each other',
    async () => {
      const stages = numbered(2000, (at) => `FROM s${at} AS s${at + 1}\nARG A=${at}\nRUN echo $A`)
      const { graph } = await convertText(`FROM base AS s0\n${stages}\n`)
      expect(graph.vertices).toHaveLength(2001)
    },
    timeout,
  )

  it(
    'toGraph() takes 2,000 stages that one copies from, and 5,000 sources of one COPY',
    async () => {
      const stages = numbered(2000, (at) => `FROM base AS s${at}\nRUN ${at}`)
      const copies = numbered(2000, (at) => `COPY --link --from=s${at} /a /b${at}`)
      const { graph } = await convertText(`${stages}\nFROM base\n${copies}\n`)
      // One image; a RUN, a copy and a merge for each stage.
      expect(graph.vertices).toHaveLength(1 + 3 * 2000)
      const sources = numbered(5000, (at) => `f${at}`).replaceAll('\n', ' ')
      const wide = await convertText(`FROM base\nCOPY ${sources} /all/\n`)
      expect(wide.graph.vertices).toHaveLength(3)
    },
    timeout,
  )

  it(
    'toGraph() refuses a working directory that Linux cannot name',
    async () => {
      const deep = (count: number) => convertText(`FROM base\n${numbered(count, () => 'WORKDIR a')}\n`)
      // `/a/a…`: 4,094 bytes.
      await expect(deep(2047)).resolves.toMatchObject({
        image: { config: { workingDir: '/a'.repeat(2047) } },
      })
      await expect(deep(5000)).rejects.toMatchObject({
        code: 'ERR_DOCKERFILE_SYNTAX',
        message:
          'Cannot set the working directory: its path has 4096 bytes, and Linux takes no more than 4095',
        source: { startLine: 2049 },
      })
    },
    timeout,
  )

  it('toGraph() keeps the place of a variable that is set again, and leaves absent what nobody set', async () => {
    const { image } = await convertText('FROM base\nENV A=1 B=2\nENV A=3\nLABEL x=1 y=2\nLABEL x=3\n')
    expect(image.config.env?.slice(-2)).toEqual(['A=3', 'B=2'])
    expect(image.config.labels).toEqual({ x: '3', y: '2' })
    expect(image.config).toMatchObject({ exposedPorts: undefined, volumes: undefined, onBuild: undefined })
  })
})
