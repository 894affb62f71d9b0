import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import {
  compatiblePlatforms,
  type Descriptor,
  formatPlatform,
  formatPlatforms,
  hostPlatform,
  type Index,
  listPlatforms,
  mediaTypes,
  normalizePlatform,
  parsePlatform,
  samePlatform,
  selectPlatform,
} from './index.ts'

function indexOf(...platforms: string[]): Index {
  const manifests = platforms.map((text): Descriptor => {
    const [os = '', architecture = '', variant] = text.split('/')
    return {
      mediaType: mediaTypes.ociManifest,
      digest: digestBytes(text),
      size: 1,
      platform: text === '-' ? undefined : { os, architecture, variant },
    }
  })
  return { mediaType: mediaTypes.ociIndex, manifests, annotations: {} }
}

describe('platforms', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['Linux/X86_64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64/v8'],
    ['linux/arm64/8', 'linux/arm64/v8'],
    ['linux/arm', 'linux/arm'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['linux/arm/7', 'linux/arm/v7'],
    ['linux/armhf/v6', 'linux/arm/v7'],
    ['linux/i386/v2', 'linux/386'],
    ['macos/arm64', 'darwin/arm64'],
    ['Aarch64', 'linux/arm64'],
    ['linux', 'linux/s390x'],
    ['riscv64', 'linux/riscv64'],
  ])('parsePlatform() reads %s as %s', (text, formatted) => {
    expect(formatPlatform(parsePlatform(text, hostPlatform('s390x')))).toBe(formatted)
  })

  it.each([
    '',
    '/',
    'linux/',
    'linux/../x',
    'linux/a/b/c',
    'linux/..',
    'a b/c',
    'linux/amd64\n',
    '/etc',
    'linux',
  ])('parsePlatform() refuses %j', (text) => {
    expect(() => parsePlatform(text)).toThrow(expect.objectContaining({ code: 'ERR_PLATFORM_INVALID' }))
  })

  it.each(['linxu', 'arm65', 'all'])(
    'parsePlatform() takes %s neither for a system nor for a processor',
    (text) => {
      expect(() => parsePlatform(text, hostPlatform('x64'))).toThrow(
        expect.objectContaining({ message: expect.stringContaining('neither a system nor an architecture') }),
      )
    },
  )

  it.each([
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/arm/v6', 'linux/arm/v6'],
    ['linux/arm64/v9', 'linux/arm64/v9'],
  ])('normalizePlatform() makes %s %s, as BuildKit does with --platform', (text, normal) => {
    expect(formatPlatform(normalizePlatform(parsePlatform(text)))).toBe(normal)
  })

  it('formatPlatforms() shows the first of very many', () => {
    const many = Array.from({ length: 22 }, (_, index) => ({ os: 'linux', architecture: `a${index}` }))
    expect(formatPlatforms(many)).toMatch(/^linux\/a0, .*, linux\/a19 and 2 others$/)
    expect(formatPlatforms(many.slice(20))).toBe('linux/a20, linux/a21')
  })

  it('hostPlatform() refuses a processor without an OCI name', () => {
    expect(formatPlatform(hostPlatform('x64'))).toBe('linux/amd64')
    expect(() => hostPlatform('toString')).toThrow(expect.objectContaining({ code: 'ERR_PLATFORM_INVALID' }))
  })

  it.each([
    ['linux/amd64', 'linux/amd64 linux/386'],
    ['linux/amd64/v3', 'linux/amd64/v3 linux/amd64/v2 linux/amd64 linux/386'],
    ['linux/arm', 'linux/arm/v7 linux/arm/v6 linux/arm/v5'],
    ['linux/arm/v6', 'linux/arm/v6 linux/arm/v5'],
    ['linux/arm64', 'linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5'],
    ['linux/arm64/v8.1', 'linux/arm64/v8.1 linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5'],
    [
      'linux/arm64/v9',
      'linux/arm64/v9 linux/arm64/v8.5 linux/arm64/v8.4 linux/arm64/v8.3 linux/arm64/v8.2 linux/arm64/v8.1 ' +
        'linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5',
    ],
    ['linux/ppc64le', 'linux/ppc64le'],
  ])('compatiblePlatforms() of %s are %s', (wanted, compatible) => {
    expect(compatiblePlatforms(parsePlatform(wanted)).map(formatPlatform).join(' ')).toBe(compatible)
  })

  it.each([
    ['linux/amd64', ['linux/arm64', 'linux/amd64'], 'linux/amd64'],
    ['linux/arm64', ['linux/arm/v7', 'linux/arm64/v8'], 'linux/arm64/v8'],
    ['linux/arm64/v8', ['linux/arm64'], 'linux/arm64'],
    ['linux/arm/v7', ['linux/arm/v5', 'linux/arm/v6'], 'linux/arm/v6'],
    ['linux/arm/v6', ['linux/arm/v7'], undefined],
    ['linux/amd64', ['linux/amd64/v3'], undefined],
    ['linux/amd64', ['unknown/unknown', 'windows/amd64'], undefined],
    ['linux/amd64', ['-', 'linux/arm64'], '-'],
    ['linux/amd64', ['-', 'linux/amd64'], 'linux/amd64'],
  ])('selectPlatform() for %s among %j takes %s', (wanted, available, chosen) => {
    const found = selectPlatform(indexOf(...available), parsePlatform(wanted))
    expect(found?.digest).toBe(chosen === undefined ? undefined : digestBytes(chosen))
  })

  it('selectPlatform() never takes an attestation, whatever platform it claims', () => {
    const index = indexOf('linux/amd64')
    const annotations = { 'vnd.docker.reference.type': 'attestation-manifest' }
    const attested = { ...index, manifests: index.manifests.map((entry) => ({ ...entry, annotations })) }
    expect(selectPlatform(attested, parsePlatform('linux/amd64'))).toBeUndefined()
    expect(listPlatforms(attested)).toEqual([])
  })

  it('samePlatform() compares normalised platforms', () => {
    expect(samePlatform(parsePlatform('linux/arm64/v8'), parsePlatform('linux/aarch64'))).toBe(true)
    expect(samePlatform(parsePlatform('linux/arm/v6'), parsePlatform('linux/arm'))).toBe(false)
  })
})
