import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import { fileNameOf, mainContextSource, namedContextSource } from './context-source.ts'

const cwd = '/work'

describe('mainContextSource()', () => {
  it.each([
    ['-', { kind: 'stdin' }],
    ['.', { kind: 'directory', path: '/work' }],
    ['sub/dir', { kind: 'directory', path: '/work/sub/dir' }],
    ['/abs', { kind: 'directory', path: '/abs' }],
    ['https://x.test/a.tar.gz', { kind: 'http', url: 'https://x.test/a.tar.gz' }],
    ['HTTP://x.test/a', { kind: 'http', url: 'HTTP://x.test/a' }],
    [
      'https://x.test/r.git#v1:d',
      { kind: 'git', url: { remote: 'https://x.test/r.git', ref: 'v1', subdir: 'd' } },
    ],
    ['git@x.test:o/r', { kind: 'git', url: { remote: 'git@x.test:o/r' } }],
    ['ssh://git@x.test/r', { kind: 'git' }],
    ['git://x.test/r', { kind: 'git' }],
    ['github.com/o/r', { kind: 'git', url: { remote: expect.stringContaining('https://github.com/o/r') } }],
    ['ftp://x.test/a', { kind: 'directory' }],
    ['docker-image://x', { kind: 'directory' }],
  ])('mainContextSource() reads %s', (text, expected) => {
    expect(mainContextSource(text, cwd)).toMatchObject(expected)
  })

  it('mainContextSource() takes a directory of the machine before what only looks like a repository', () => {
    const root = temporaryDirectory()
    const path = join(root, 'github.com/o/r')
    mkdirSync(path, { recursive: true })
    expect(mainContextSource('github.com/o/r', root)).toEqual({ kind: 'directory', path })
  })

  it('mainContextSource() throws ERR_URL_INVALID for a malformed repository', () => {
    expect(() => mainContextSource('https://x.test/r.git?what=x', cwd)).toThrow(
      expect.objectContaining({ code: 'ERR_URL_INVALID' }),
    )
  })
})

describe('namedContextSource()', () => {
  it.each([
    ['dir', { kind: 'directory', path: '/work/dir' }],
    ['docker-image://debian:12', { kind: 'image', reference: 'debian:12' }],
    ['oci-layout://layout', { kind: 'image', reference: 'oci-layout:///work/layout' }],
    ['oci-layout:///abs:tag', { kind: 'image', reference: 'oci-layout:///abs:tag' }],
    ['https://x.test/f', { kind: 'http' }],
    ['https://x.test/r.git', { kind: 'git' }],
    // Only the build context is standard input.
    ['-', { kind: 'directory', path: '/work/-' }],
  ])('namedContextSource() reads %s', (text, expected) => {
    expect(namedContextSource('name', text, cwd)).toMatchObject(expected)
  })

  it.each([
    ['docker-image://', 'ERR_USAGE'],
    ['oci-layout://', 'ERR_USAGE'],
    ['target:other', 'ERR_UNSUPPORTED'],
    ['input:0', 'ERR_UNSUPPORTED'],
  ])('namedContextSource() refuses %s', (text, code) => {
    expect(() => namedContextSource('name', text, cwd)).toThrow(expect.objectContaining({ code }))
  })
})

describe('fileNameOf()', () => {
  it.each([
    ['https://x.test/d/My.Dockerfile?token=s3cret#x', 'My.Dockerfile'],
    ['https://user:pw@x.test/f', 'f'],
  ])('fileNameOf() names %s', (url, name) => {
    expect(fileNameOf(url)).toBe(name)
  })
})
