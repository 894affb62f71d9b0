import { describe, expect, it } from 'vitest'
import {
  contextOf,
  convertText,
  execsOf,
  filesOf,
  historyOf,
  namesOf,
  vertexOf,
} from './testing/convert-text.ts'
import type { NamedContext } from './types.ts'

const files: NamedContext = { kind: 'files' }
const image = (reference: string): NamedContext => ({ kind: 'image', reference })

const convert = (text: string, contexts: Record<string, NamedContext>, options = {}) =>
  convertText(text, {
    namedContexts: new Map(Object.entries(contexts)),
    images: { other: { config: { env: ['FROM=other'], onBuild: ['RUN trigger'] } } },
    ...options,
  })

describe('toGraph() and named contexts', () => {
  it.each([
    ['alpine', 'alpine'],
    ['alpine', 'alpine:latest'],
    ['alpine:latest', 'alpine'],
    ['docker.io/library/alpine', 'alpine'],
    ['alpine', 'docker.io/library/alpine:latest'],
    ['alpine:3', 'alpine:3'],
    ['ghcr.io/o/r', 'ghcr.io/o/r:latest'],
  ])('FROM %s is replaced by the context %s', async (from, name) => {
    const result = await convert(`FROM ${from}\nRUN x\n`, { [name]: image('base') })
    expect(result.requests).toEqual(['base linux/amd64'])
  })

  it.each([
    ['alpine:3', 'alpine'],
    ['alpine', 'alpine:3'],
    ['scratch', 'scratch'],
  ])('FROM %s is not replaced by the context %s', async (from, name) => {
    const images = { alpine: {}, 'alpine:3': {} }
    const result = await convert(`FROM ${from}\nRUN x\n`, { [name]: image('base') }, { images })
    expect(result.requests).toEqual(from === 'scratch' ? [] : [`${from} linux/amd64`])
  })

  it('a context replaces an image with config, environment and triggers', async () => {
    const result = await convert('FROM base\nRUN x\n', { base: image('other') })
    expect(execsOf(result).map(({ args }) => args.at(-1))).toEqual(['trigger', 'x'])
    expect(result.image.config.env).toContain('FROM=other')
    expect(result.image.config.onBuild).toBeUndefined()
  })

  it('a context replaces a stage: nothing of the stage is resolved or run', async () => {
    const text = 'FROM missing AS Build\nRUN no\nFROM base\nCOPY --from=build /a /\nRUN y\n'
    const result = await convert(text, { build: image('other') })
    expect(result.requests).toEqual(['base linux/amd64', 'other linux/amd64'])
    expect(execsOf(result).map(({ args }) => args.at(-1))).toEqual(['y'])
  })

  it('a stage upon a replaced one begins with the image that stands there, triggers included', async () => {
    const text = 'FROM missing AS a\nRUN no\nFROM a\nRUN y\n'
    const result = await convert(text, { a: image('other') })
    expect(execsOf(result).map(({ args }) => args.at(-1))).toEqual(['trigger', 'y'])
    expect(result.image.config.env).toContain('FROM=other')
  })

  it('a context that replaces the target is the result, as it is', async () => {
    const result = await convert('FROM base AS a\nRUN no\nCMD no\n', { a: image('other') })
    expect(execsOf(result)).toEqual([])
    expect(result.image.config).toMatchObject({ onBuild: ['RUN trigger'] })
    expect(historyOf(result)).toEqual([])
  })

  it('a context that replaces a later stage can be copied from', async () => {
    const text = 'FROM base\nCOPY --from=b /a /\nFROM base AS b\nRUN no\n'
    const result = await convert(text, { b: image('other') }, { target: '0' })
    expect(result.requests).toEqual(['base linux/amd64', 'other linux/amd64'])
  })

  it('--from takes a context before an image of the name, and by the number of a replaced stage', async () => {
    const text = 'FROM base AS b\nFROM base\nCOPY --from=tools /t /\nCOPY --from=0 /u /\n'
    const result = await convert(text, { tools: image('other'), b: files })
    expect(vertexOf(result, '/t /').inputs[1]).toBe(
      vertexOf(result, `other:latest@${digestText(result)}`).digest,
    )
    expect(vertexOf(result, '/u /').inputs[1]).toBe(vertexOf(result, '[context b] load files').digest)
  })

  it('the files of a context are read by --from as they are', async () => {
    const result = await convert('FROM base\nCOPY --from=src a /\n', { src: files })
    const context = vertexOf(result, '[context src] load files')
    expect(context.op).toEqual({ kind: 'local', name: 'src' })
    expect(vertexOf(result, 'a /').inputs[1]).toBe(context.digest)
  })

  it('FROM of files is a layer with all of them, and an entry of the history', async () => {
    const result = await convert('FROM src\nCMD ["/x"]\n', { src: files })
    const context = vertexOf(result, '[context src] load files').digest
    expect(result.graph.vertices.at(-1)).toMatchObject({
      name: '[1/1] FROM src',
      inputs: [context],
      op: {
        kind: 'file',
        rootfs: undefined,
        actions: [{ kind: 'copy', input: 0, sources: ['/'], dest: '/', unpack: false }],
      },
    })
    expect(historyOf(result)).toEqual(['FROM src # buildkit', '- CMD ["/x"]'])
    expect(result.image.baseHistory).toEqual([])
  })

  it('FROM of a stage that files replace is that layer too', async () => {
    const result = await convert('FROM missing AS a\nFROM a\nRUN x\n', { a: files })
    expect(namesOf(result)).toEqual(['[context a] load files', '[a 1/1] FROM a', '[stage-1 1/1] RUN x'])
  })

  it('a context for the platform comes before one for all', async () => {
    const contexts = { 'base::linux/arm64': image('arm'), base: image('all') }
    const images = { arm: {}, all: {} }
    const text = 'FROM --platform=linux/arm64/v8 base AS a\nFROM base\nCOPY --from=a /a /\n'
    const result = await convert(text, contexts, { images })
    expect(result.requests).toEqual(['all linux/amd64', 'arm linux/arm64/v8'])
  })

  it('a context of a malformed platform is refused', async () => {
    await expect(convert('FROM base\n', { 'a::x/y/z/w': files })).rejects.toMatchObject({
      code: 'ERR_PLATFORM_INVALID',
    })
  })

  it('the context named "context" replaces the build context', async () => {
    const result = await convert('FROM base\nCOPY a /\n', { context: image('other') })
    expect(vertexOf(result, 'COPY a /').inputs[1]).toBe(vertexOf(result, digestText(result)).digest)
    const same = await convert('FROM base\nCOPY a /\n', { context: files })
    expect(vertexOf(same, 'load build context').op).toEqual({ kind: 'local', name: 'context' })
  })

  it('--from=context is an image of that name, and the error tells what is meant', async () => {
    const failed = convert('FROM base\nCOPY --from=context a /\n', { context: files })
    await expect(failed).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      hints: [expect.stringContaining('without `--from`')],
    })
  })

  it('an OCI layout is resolved by its whole reference', async () => {
    const reference = 'oci-layout:///srv/images:v1'
    const images = { [reference]: {} }
    const result = await convert('FROM base\nRUN x\n', { base: image(reference) }, { images })
    expect(result.requests).toEqual([`${reference} linux/amd64`])
  })

  it('the image "scratch" as a context is empty', async () => {
    const result = await convert('FROM base\nCOPY a /\n', { base: image('scratch') })
    expect(result.graph.vertices.map(({ op }) => op.kind)).toEqual(['local', 'file'])
  })

  it('a context that nothing names is neither resolved nor loaded', async () => {
    const context = contextOf({
      sourceDate: () => Promise.reject(new Error('must not be asked')),
    })
    const contexts = { unused: files, missing: image('nowhere') }
    const result = await convert('FROM base\nRUN x\n', contexts, { context })
    expect(result.requests).toEqual(['base linux/amd64'])
    expect(namesOf(result).join()).not.toContain('unused')
  })

  it('an image that a context names and nobody has is an error at the FROM', async () => {
    await expect(convert('FROM base\n', { base: image('nowhere') })).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      source: { startLine: 1 },
    })
  })

  it('FROM of a stage by name takes the stage before a context of the same image name', async () => {
    const text = 'FROM base AS one\nRUN 1\nFROM one\nRUN 2\n'
    const result = await convert(text, { 'one:2': image('other') })
    expect(execsOf(result).map(({ args }) => args.at(-1))).toEqual(['1', '2'])
    expect(filesOf(result)).toEqual([])
  })
})

/** The end of the name of the vertex of `other`. */
function digestText({ graph }: Awaited<ReturnType<typeof convertText>>): string {
  const found = graph.vertices.find(({ op }) => op.kind === 'image' && op.reference.includes('/other:'))
  return found?.op.kind === 'image' ? found.op.manifest : 'no image'
}
