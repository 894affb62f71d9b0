import { describe, expect, it } from 'vitest'
import { parseDockerfile } from './parse.ts'
import { resolveStage } from './stages.ts'

const dockerfile = parseDockerfile('FROM a AS build\nFROM b AS test\nFROM c AS Build\nFROM d', 'Dockerfile')

describe('resolveStage()', () => {
  it.each<[string | null, number]>([
    [null, 3],
    ['test', 1],
    ['TEST', 1],
    ['build', 2],
    ['0', 0],
    ['3', 3],
  ])('finds target %j at index %j', (target, index) => {
    expect(resolveStage(dockerfile, target).index).toBe(index)
  })

  it.each(['4', '-1', '', 'tset', '0x1'])('refuses target %j', (target) => {
    expect(() => resolveStage(dockerfile, target)).toThrowError(
      expect.objectContaining({ code: 'ERR_DOCKERFILE_STAGE_NOT_FOUND' }),
    )
  })

  it('suggests the stage that was meant', () => {
    expect(() => resolveStage(dockerfile, 'buidl')).toThrowError(
      expect.objectContaining({ hints: ['Did you mean `build`?'] }),
    )
  })

  it('lists the stages when none is near', () => {
    expect(() => resolveStage(dockerfile, 'production')).toThrowError(
      expect.objectContaining({ hints: ['Its stages: `build`, `test`.'] }),
    )
  })
})
