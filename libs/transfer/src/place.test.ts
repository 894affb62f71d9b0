import { describe, expect, it } from 'vitest'
import { formatImagePlace, parseImagePlace } from './place.ts'

const hex = 'a'.repeat(64)

/** What stands where a digest belongs, of MAN-02. */
export const badDigests: readonly string[] = [
  'sha256:',
  'sha256:../../x',
  `sha256:${hex.toUpperCase()}`,
  `sha256:${hex}0`,
  `sha256:${hex.slice(1)}`,
  `sha256:${hex.slice(1)}g`,
  `sha256:${hex}\n`,
  `sha256: ${hex}`,
  ` sha256:${hex}`,
  `SHA256:${hex}`,
  `sha512:${hex}`,
  `sha512:${hex}${hex}`,
  `md5:${'a'.repeat(32)}`,
  `sha256-${hex}`,
  `sha256:${hex}:x`,
  `sha256:${hex.slice(32)}/../${hex.slice(40)}`,
  `sha256:${hex}\0`,
  `sha256:%2e%2e%2f${hex.slice(9)}`,
  'sha256:/etc/passwd',
  'sha256:.',
  ':',
  `:${hex}`,
  hex,
  `sha256+b64:${hex}`,
  `sha256:${'٠'.repeat(64)}`,
]

describe('parseImagePlace()', () => {
  it.each([
    ['debian', { type: 'registry' }, 'docker://debian:latest'],
    ['docker://host:5000/a/b:1', { type: 'registry' }, 'docker://host:5000/a/b:1'],
    ['store:app:1.0', { type: 'store', name: 'app:1.0' }, 'store:app:1.0'],
    ['oci:dir', { type: 'oci', path: 'dir' }, 'oci:dir'],
    ['oci:/a/dir:1.0', { type: 'oci', path: '/a/dir', name: '1.0' }, 'oci:/a/dir:1.0'],
    [`oci:dir@sha256:${hex}`, { type: 'oci', path: 'dir', digest: `sha256:${hex}` }, `oci:dir@sha256:${hex}`],
    [
      'oci:dir:host.test:5000/a:1',
      { type: 'oci', path: 'dir', name: 'host.test:5000/a:1' },
      'oci:dir:host.test:5000/a:1',
    ],
    ['oci:dir@v1/lay:t', { type: 'oci', path: 'dir@v1/lay', name: 't' }, 'oci:dir@v1/lay:t'],
    ['oci-archive:a.tar:t', { type: 'oci-archive', path: 'a.tar', name: 't' }, 'oci-archive:a.tar:t'],
    ['docker-archive:-', { type: 'docker-archive', path: '-' }, 'docker-archive:-'],
    [
      'docker-archive:a.tar:app:1',
      { type: 'docker-archive', path: 'a.tar', name: 'app:1' },
      'docker-archive:a.tar:app:1',
    ],
    ['-', { type: 'archive', path: '-' }, '-'],
  ])('reads %s, and formatImagePlace() writes it', (text, place, written) => {
    expect(parseImagePlace(text)).toMatchObject(place)
    expect(formatImagePlace(parseImagePlace(text))).toBe(written)
  })

  it.each([
    '',
    'store:',
    'oci:',
    'oci::tag',
    'docker-archive:',
    'docker://',
    'a/UPPER',
    'docker-archive:a:UPPER',
  ])('refuses %j', (text) => {
    expect(() => parseImagePlace(text)).toThrow(expect.objectContaining({ code: 'ERR_REFERENCE_INVALID' }))
  })

  it.each(['docker-daemon:app', 'containers-storage:app', 'dir:/tmp/x', `docker-archive:a@sha256:${hex}`])(
    'says of %j that there is no such place',
    (text) => {
      expect(() => parseImagePlace(text)).toThrow(expect.objectContaining({ code: 'ERR_UNSUPPORTED' }))
    },
  )

  it.each(badDigests)('MAN-02: takes %j for no digest, in a name and in a layout', (digest) => {
    for (const text of [
      `docker://host.test/app@${digest}`,
      `host.test/app:1@${digest}`,
      `oci:dir@${digest}`,
      `oci-archive:a.tar@${digest}`,
    ]) {
      let digestRead: unknown
      try {
        const place = parseImagePlace(text)
        digestRead =
          place.type === 'registry' ? place.reference.digest : 'digest' in place ? place.digest : undefined
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_(?:REFERENCE|DIGEST)_INVALID$/) })
      }
      expect(digestRead).toBeUndefined()
    }
  })
})
