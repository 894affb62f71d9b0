import { describe, expect, it } from 'vitest'
import { annotationsOf } from './annotations.ts'
import type { AnnotationSpec } from './output-types.ts'

const amd64 = { os: 'linux', architecture: 'amd64' }
const arm64 = { os: 'linux', architecture: 'arm64' }
const spec = (level: AnnotationSpec['level'], value: string, platform?: string): AnnotationSpec => ({
  level,
  key: 'key',
  value,
  platform,
})

describe('annotationsOf()', () => {
  it('sorts them by where they stand', () => {
    const specs = (['manifest', 'index', 'manifest-descriptor', 'index-descriptor'] as const).map((level) =>
      spec(level, level),
    )
    const { index, of } = annotationsOf(specs, [amd64])
    expect(index).toEqual({ index: { key: 'index' }, indexDescriptor: { key: 'index-descriptor' } })
    expect(of(amd64)).toEqual({
      manifest: { key: 'manifest' },
      manifestDescriptor: { key: 'manifest-descriptor' },
    })
  })

  it('takes the later of two, and one for the platform before one for all', () => {
    const { of } = annotationsOf(
      [spec('manifest', 'own', 'linux/arm64/v8'), spec('manifest', 'first'), spec('manifest', 'second')],
      [amd64, arm64],
    )
    expect(of(amd64).manifest).toEqual({ key: 'second' })
    expect(of(arm64).manifest).toEqual({ key: 'own' })
  })

  it.each([
    [spec('manifest', 'v', 'linux/s390x'), 'ERR_USAGE'],
    [spec('index', 'v', 'linux/amd64'), 'ERR_USAGE'],
    [spec('index-descriptor', 'v', 'linux/amd64'), 'ERR_USAGE'],
    [spec('manifest', 'v', 'linux/..'), 'ERR_PLATFORM_INVALID'],
  ])('refuses %j with %s', (refused, code) => {
    expect(() => annotationsOf([refused], [amd64])).toThrow(expect.objectContaining({ code }))
  })
})
