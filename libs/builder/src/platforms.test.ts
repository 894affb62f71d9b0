import { formatPlatform } from '@tsbuild/oci'
import { describe, expect, it } from 'vitest'
import { platformDirectory, wantedPlatforms } from './platforms.ts'

const host = { os: 'linux', architecture: 'amd64' }
const wanted = (platforms?: readonly string[]) =>
  wantedPlatforms({ context: '.', cwd: '/', platforms }, host).map(formatPlatform)

describe('wantedPlatforms()', () => {
  it.each([
    [undefined, ['linux/amd64']],
    [[], ['linux/amd64']],
    [['local'], ['linux/amd64']],
    [
      ['linux/s390x', 'local', 'linux/amd64'],
      ['linux/s390x', 'linux/amd64'],
    ],
    [['linux/arm64', 'linux/aarch64', 'linux/arm64/v8'], ['linux/arm64']],
    [
      ['arm64', 'linux/arm/v7', 'linux/arm/v6'],
      ['linux/arm64', 'linux/arm/v7', 'linux/arm/v6'],
    ],
  ])('of %j are %j: each once, in the order asked for', (given, expected) => {
    expect(wanted(given)).toEqual(expected)
  })

  it.each(['windows/amd64', 'linux/../../etc', '..', 'linux/a/b/c', 'linux//amd64', '/', ''])(
    'refuses %j',
    (platform) => {
      expect(() => wanted(['linux/amd64', platform])).toThrow(
        expect.objectContaining({ code: 'ERR_PLATFORM_INVALID' }),
      )
    },
  )
})

describe('platformDirectory()', () => {
  it.each([
    ['linux/amd64', 'linux_amd64'],
    ['linux/arm/v7', 'linux_arm_v7'],
    ['linux/arm64', 'linux_arm64'],
    ['linux/a..b', 'linux_a..b'],
  ])('of %s is %s', (text, expected) => {
    const [platform] = wantedPlatforms({ context: '.', cwd: '/', platforms: [text] }, host)
    expect(platform && platformDirectory(platform)).toBe(expected)
  })
})
