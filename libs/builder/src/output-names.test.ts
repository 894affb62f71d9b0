import { describe, expect, it } from 'vitest'
import { namesOf } from './output-names.ts'

const digest = `sha256:${'0'.repeat(64)}`

describe('namesOf()', () => {
  it.each([
    [{ type: 'image' }, ['docker.io/library/a:latest']],
    [
      { type: 'image', names: ['b:1', 'docker.io/library/b:1', 'c'] },
      ['docker.io/library/b:1', 'docker.io/library/c:latest'],
    ],
    [{ type: 'image', names: [] }, []],
    [{ type: 'registry', pushByDigest: true }, ['docker.io/library/a']],
    [{ type: 'oci', dest: 'x', names: ['d:2'] }, ['docker.io/library/d:2']],
  ] as const)('of %j are %j', (output, expected) => {
    expect(namesOf(output, { context: '.', cwd: '/', tags: ['a', 'a'] })).toEqual(expected)
  })

  it.each([
    [{ type: 'image', names: ['Upper'] }, 'Cannot use output name "Upper"'],
    [{ type: 'registry', pushByDigest: true, names: ['a:1'] }, 'a push by digest sets no tag'],
    [{ type: 'image', names: [`a@${digest}`] }, 'has no digest'],
    [{ type: 'registry', pushByDigest: true, names: [`a@${digest}`] }, 'has no digest'],
  ] as const)('of %j are refused', (output, message) => {
    expect(() => namesOf(output, { context: '.', cwd: '/' })).toThrow(
      expect.objectContaining({ code: 'ERR_USAGE', message: expect.stringContaining(message) }),
    )
  })
})
