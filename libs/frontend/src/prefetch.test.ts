import { UserError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { convertText, convertWith } from './testing/convert-text.ts'
import type { ImageResolver, NamedContext } from './types.ts'

/** Asks for images of which each answer waits until all of `names` were asked for. */
function waitingFor(names: readonly string[], seen: string[] = []): ImageResolver {
  let open = () => {}
  const all = new Promise<void>((resolve) => {
    open = resolve
  })
  return async (name) => {
    seen.push(name)
    if (names.every((each) => seen.includes(each))) open()
    await all
    throw new UserError('ERR_IMAGE_NOT_FOUND', `Cannot find image "${name}"`)
  }
}

describe('toGraph() and the images that it asks for', () => {
  it('asks for all at once, those of stages, copies, mounts and contexts', async () => {
    const text = [
      'ARG V=2',
      'FROM unused',
      'FROM a AS build',
      'COPY --from=b /x /',
      'FROM replaced AS ctx',
      'COPY --from=no / /',
      'FROM f AS Mounted',
      'FROM c:$V',
      'RUN --mount=type=cache,from=g,target=/g --mount=from=mounted,target=/f --mount=from=,target=/h x',
      'COPY --from=build / /',
      'COPY --from=2 / /',
      'COPY --from=base / /',
    ]
    const namedContexts = new Map<string, NamedContext>([
      ['ctx', { kind: 'image', reference: 'd' }],
      ['base', { kind: 'image', reference: 'e' }],
    ])
    const seen: string[] = []
    const asked = ['a', 'b', 'c:2', 'd', 'e', 'f', 'g']
    const result = convertWith(text.join('\n'), waitingFor(asked, seen), { namedContexts })
    await expect(result).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND', source: { startLine: 8 } })
    expect(seen.toSorted()).toEqual(asked)
  })

  it('asks for an image of one platform once', async () => {
    const text =
      'FROM base AS a\nFROM base AS b\nCOPY --from=a / /\nFROM --platform=linux/arm64 base\nCOPY --from=b / /\n'
    const { requests } = await convertText(text)
    expect(requests.toSorted()).toEqual(['base linux/amd64', 'base linux/arm64'])
  })

  it('ends the other questions when one answer ends the build', async () => {
    const states: string[] = []
    const resolveImage: ImageResolver = async (name, _, signal) => {
      if (name === 'bad') throw new UserError('ERR_IMAGE_NOT_FOUND', 'no bad')
      await new Promise((resolve) => signal?.addEventListener('abort', resolve))
      states.push(`${name} ended`)
      throw new UserError('ERR_CANCELLED', 'cancelled')
    }
    await expect(convertWith('FROM bad\nCOPY --from=slow / /\n', resolveImage)).rejects.toThrow('no bad')
    expect(states).toEqual(['slow ended'])
  })

  it('leaves mistakes of names to the build, which tells their place', async () => {
    const text =
      'FROM --platform=$BAD base AS a\nFROM ${X?no} AS b\nFROM base\nCOPY --from=9 / /\nCOPY --from=b / /\n'
    await expect(convertText(text)).rejects.toMatchObject({ source: { startLine: 4 } })
  })

  it('takes a resolver that fails at once for one that fails', async () => {
    const resolveImage: ImageResolver = () => {
      throw new UserError('ERR_REFERENCE_INVALID', 'bad name')
    }
    await expect(convertWith('FROM Bad\n', resolveImage)).rejects.toMatchObject({
      code: 'ERR_REFERENCE_INVALID',
      source: { startLine: 1 },
    })
  })
})
