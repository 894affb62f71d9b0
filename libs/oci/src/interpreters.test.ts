import { describe, expect, it } from 'vitest'
import { interpreterOf, platformsOf } from './interpreters.ts'
import { formatPlatform, parsePlatform } from './platform.ts'

const fixed = (...names: readonly string[]) => names.map((name) => ({ name, fixed: true }))
const textOf = (interpreters: Parameters<typeof platformsOf>[0]) =>
  platformsOf(interpreters).map(formatPlatform)

describe('platformsOf()', () => {
  it('gives the platforms of the emulators that are registered, each once', () => {
    expect(textOf(fixed('qemu-riscv64', 'qemu-aarch64', 'qemu-arm', 'qemu-aarch64-static'))).toEqual([
      'linux/arm/v5',
      'linux/arm/v6',
      'linux/arm/v7',
      'linux/arm64',
      'linux/riscv64',
    ])
  })

  it('gives none for an interpreter that the image would have to hold', () => {
    expect(textOf([{ name: 'qemu-aarch64', fixed: false }])).toEqual([])
  })

  it.each(['python3.11', 'jar', 'qemu-', 'qemu-vax', 'aarch64', 'not-qemu-aarch64', ''])(
    'gives none for the interpreter %j',
    (name) => expect(textOf(fixed(name))).toEqual([]),
  )
})

describe('interpreterOf()', () => {
  it.each([
    ['linux/arm64', 'qemu-aarch64'],
    ['linux/arm64/v8', 'qemu-aarch64'],
    ['linux/arm/v7', 'qemu-arm'],
    ['linux/arm', 'qemu-arm'],
    ['linux/arm/v6', 'qemu-arm'],
    ['linux/386', 'qemu-i386'],
    ['linux/ppc64le', 'qemu-ppc64le'],
    ['linux/vax', undefined],
    ['windows/arm64', undefined],
  ])('of %s is %s', (platform, name) => expect(interpreterOf(parsePlatform(platform))).toBe(name))
})
