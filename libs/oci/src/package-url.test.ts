import { describe, expect, it } from 'vitest'
import { formatPackageUrl, imagePackageUrl } from './package-url.ts'

const digest = `sha256:${'a'.repeat(64)}`
const amd64 = { os: 'linux', architecture: 'amd64' }

describe('formatPackageUrl()', () => {
  it.each([
    [{ type: 'npm', name: 'left-pad', version: '1.3.0' }, 'pkg:npm/left-pad@1.3.0'],
    [{ type: 'npm', namespace: '@types', name: 'node', version: '20' }, 'pkg:npm/%40types/node@20'],
    [
      {
        type: 'deb',
        namespace: 'debian',
        name: 'g++',
        version: '4:12.2.0-3+b1',
        qualifiers: { distro: 'debian-12', arch: 'amd64', epoch: undefined },
      },
      'pkg:deb/debian/g%2B%2B@4:12.2.0-3%2Bb1?arch=amd64&distro=debian-12',
    ],
    [
      { type: 'golang', namespace: 'golang.org/x', name: 'sys', version: 'v0.1.0', subpath: '/unix/' },
      'pkg:golang/golang.org/x/sys@v0.1.0#unix',
    ],
    [{ type: 'generic', name: "a b!'()*~" }, 'pkg:generic/a%20b%21%27%28%29%2A~'],
  ])('formatPackageUrl() writes %j', (parts, expected) => {
    expect(formatPackageUrl(parts)).toBe(expected)
  })
})

describe('imagePackageUrl()', () => {
  it.each([
    ['docker.io/library/debian:bookworm', 'pkg:docker/debian@bookworm?platform=linux%2Famd64'],
    ['docker.io/org/app:1', 'pkg:docker/org/app@1?platform=linux%2Famd64'],
    ['registry.test:5000/a/b:1', 'pkg:docker/registry.test:5000/a/b@1?platform=linux%2Famd64'],
    [`docker.io/library/debian@${digest}`, `pkg:docker/debian?digest=${digest}&platform=linux%2Famd64`],
    ['oci-layout:///home/me/out:v1', 'pkg:oci/out@v1?platform=linux%2Famd64'],
    [`oci-layout:///home/me/out@${digest}`, 'pkg:oci/out?platform=linux%2Famd64'],
  ])('imagePackageUrl() of %s', (reference, expected) => {
    expect(imagePackageUrl(reference, amd64)).toBe(expected)
  })

  it('imagePackageUrl() leaves a platform out that is not known', () => {
    expect(imagePackageUrl('debian:12', undefined)).toBe('pkg:docker/debian@12')
  })
})
