import { digestBytes } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import {
  formatReference,
  mediaTypes,
  parseImageConfig,
  parseManifestOrIndex,
  parsePlatform,
  parseReference,
  serializeImageConfig,
  serializeIndex,
  serializeManifest,
} from './index.ts'

/** Xorshift: the same bytes in each run. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** Changes, doubles and removes pieces, with a taste for what JSON is made of. */
function mutate(original: Buffer, next: (below: number) => number): Buffer {
  let bytes = Buffer.from(original)
  const pieces = [
    '"',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    'null',
    '-1',
    '1e999',
    '\\',
    '\u0000',
    '"size":',
    '"manifests":[]',
    '/',
  ]
  for (let count = next(4) + 1; count > 0; count--) {
    const at = next(bytes.length + 1)
    const end = Math.min(bytes.length, at + next(12))
    const piece =
      next(2) === 0 ? Buffer.from(pieces[next(pieces.length)] ?? '') : bytes.subarray(next(at + 1), at)
    bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(next(3) === 0 ? end : at)])
  }
  return bytes
}

const descriptor = { mediaType: mediaTypes.ociLayer, digest: digestBytes('x'), size: 7 }
const documents = [
  serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: descriptor,
    layers: [descriptor],
    annotations: { a: 'b' },
  }),
  serializeIndex({
    mediaType: mediaTypes.ociIndex,
    manifests: [{ ...descriptor, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }],
    annotations: {},
  }),
]
const config = serializeImageConfig({
  platform: { os: 'linux', architecture: 'amd64' },
  config: {
    env: ['A=1'],
    exposedPorts: ['80/tcp'],
    labels: { a: 'b' },
    healthcheck: { test: ['NONE'], retries: 3 },
  },
  diffIds: [],
  history: [{ createdBy: 'x', emptyLayer: true }],
})

/** @returns how many inputs were refused; fails on any other error than the parser's own */
function countRefused(inputs: readonly Buffer[], parse: (bytes: Buffer) => void): number {
  return inputs.filter((input) => {
    try {
      parse(input)
      return false
    } catch (error) {
      if (isBuildError(error) && error.kind === 'user') return true
      throw new Error(`unexpected error for ${JSON.stringify(input.toString())}`, { cause: error })
    }
  }).length
}

const mutants = (originals: readonly Buffer[], count: number): readonly Buffer[] => {
  const next = random(20_261_120)
  return Array.from({ length: count }, (_, index) =>
    mutate(originals[index % originals.length] ?? config, next),
  )
}

describe('parsers of outside bytes', () => {
  it('parseManifestOrIndex() refuses a mutant, or reads it to something that it can write and read again', () => {
    const inputs = mutants(documents, 5000)
    const refused = countRefused(inputs, (bytes) => {
      const parsed = parseManifestOrIndex(bytes)
      const again =
        parsed.type === 'index' ? serializeIndex(parsed.index) : serializeManifest(parsed.manifest)
      expect(parseManifestOrIndex(again)).toEqual(parsed)
    })
    expect(refused).toBeGreaterThan(1000)
    expect(refused).toBeLessThan(inputs.length)
  })

  it('parseImageConfig() refuses a mutant, or reads it to something that it can write and read again', () => {
    const inputs = mutants([config], 5000)
    const refused = countRefused(inputs, (bytes) => {
      const parsed = parseImageConfig(bytes)
      expect(parseImageConfig(serializeImageConfig(parsed))).toEqual(parsed)
    })
    expect(refused).toBeGreaterThan(1000)
    expect(refused).toBeLessThan(inputs.length)
  })

  it('parseReference() and parsePlatform() refuse a mutant with their own error, or read it', () => {
    const references = mutants(
      [Buffer.from('ghcr.io:443/a_b/c-d:v1.2'), Buffer.from(`a@${digestBytes('x')}`)],
      5000,
    )
    const refused = countRefused(references, (bytes) => {
      const parsed = parseReference(bytes.toString())
      expect(parseReference(formatReference(parsed))).toEqual(parsed)
    })
    expect(refused).toBeLessThan(references.length)
    countRefused(mutants([Buffer.from('linux/arm64/v8')], 2000), (bytes) => {
      const { os, architecture, variant } = parsePlatform(bytes.toString())
      for (const part of [os, architecture, variant ?? 'none']) expect(part).toMatch(/^\w[\w.-]*$/)
    })
  })
})
