import { describe, expect, it } from 'vitest'
import { familiarName, formatReference, parseReference, withDefaultTag } from './index.ts'

const sha = `sha256:${'ab'.repeat(32)}`

describe('references', () => {
  it.each([
    ['debian', 'docker.io/library/debian', 'debian'],
    ['debian:bookworm', 'docker.io/library/debian:bookworm', 'debian:bookworm'],
    ['library/debian', 'docker.io/library/debian', 'debian'],
    ['docker.io/debian:1', 'docker.io/library/debian:1', 'debian:1'],
    ['index.docker.io/me/app', 'docker.io/me/app', 'me/app'],
    ['docker.io/library/a/b', 'docker.io/library/a/b', 'library/a/b'],
    ['localhost/app', 'localhost/app', 'localhost/app'],
    ['localhost:5000/app:1.0', 'localhost:5000/app:1.0', 'localhost:5000/app:1.0'],
    ['[::1]:5000/app', '[::1]:5000/app', '[::1]:5000/app'],
    ['ghcr.io/a/b-c/d__e:V1.2_x', 'ghcr.io/a/b-c/d__e:V1.2_x', 'ghcr.io/a/b-c/d__e:V1.2_x'],
    ['HOST/app', 'HOST/app', 'HOST/app'],
    [`debian@${sha}`, `docker.io/library/debian@${sha}`, `debian@${sha}`],
    [`a.b/c:t@${sha}`, `a.b/c:t@${sha}`, `a.b/c:t@${sha}`],
  ])('parseReference() puts %s into full form', (text, full, familiar) => {
    const reference = parseReference(text)
    expect(formatReference(reference)).toBe(full)
    expect(familiarName(reference)).toBe(familiar)
    expect(parseReference(full)).toEqual(reference)
    expect(parseReference(familiar)).toEqual(reference)
  })

  it.each([
    ['', 'empty'],
    ['Debian', 'lowercase'],
    ['a//b', 'empty'],
    ['a/', 'empty'],
    ['/a', 'empty'],
    ['a b', '"a b"'],
    ['a..b/c/..', 'host'],
    ['a:', 'tag'],
    ['a:-x', 'tag'],
    [`a:${'x'.repeat(129)}`, 'tag'],
    ['a@sha256:12', '64'],
    [`a@sha256:${'AB'.repeat(32)}`, '64'],
    ['a@sha512:00', '64'],
    ['ab'.repeat(32), 'image id'],
    ['-host.io/app', 'host'],
    ['[::1/app', 'host'],
    ['h:port/app', 'host'],
    [`a.b/${'x'.repeat(256)}`, '255'],
    ['a.b/../../etc/passwd', '".."'],
    ['http://a.b/c', 'host'],
    ['a\nb', 'a\\nb'],
  ])('parseReference() refuses %j and says why', (text, why) => {
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({ code: 'ERR_REFERENCE_INVALID', message: expect.stringContaining(why) }),
    )
  })

  it('withDefaultTag() adds latest only where nothing says which version', () => {
    expect(formatReference(withDefaultTag(parseReference('a')))).toBe('docker.io/library/a:latest')
    expect(formatReference(withDefaultTag(parseReference('a:1')))).toBe('docker.io/library/a:1')
    expect(formatReference(withDefaultTag(parseReference(`a@${sha}`)))).toBe(`docker.io/library/a@${sha}`)
  })
})
