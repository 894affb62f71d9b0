import { describe, expect, it } from 'vitest'
import { withInlineCacheArgument } from './inline-cache-argument.ts'
import type { BuildOptions } from './types.ts'

const options = (value: string | undefined, more: Partial<BuildOptions> = {}): BuildOptions => ({
  cwd: '/',
  context: '.',
  ...(value === undefined ? {} : { buildArgs: { BUILDKIT_INLINE_CACHE: value } }),
  ...more,
})

describe('withInlineCacheArgument()', () => {
  it.each(['1', 't', 'true', 'TRUE', 'True'])('keeps the cache in the image with %s', (value) => {
    const local = { type: 'local', dest: '/cache' } as const
    const { cacheTo } = withInlineCacheArgument(options(value, { cacheTo: [local] }))
    expect(cacheTo).toEqual([local, { type: 'inline' }])
  })

  it.each([undefined, '0', 'false', '', 'yes', '2'])('changes nothing with %s', (value) => {
    const given = options(value)
    expect(withInlineCacheArgument(given)).toBe(given)
  })

  it('keeps it once', () => {
    const given = options('1', { cacheTo: [{ type: 'inline' }] })
    expect(withInlineCacheArgument(given)).toBe(given)
  })
})
