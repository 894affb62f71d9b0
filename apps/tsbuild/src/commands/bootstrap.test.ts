import type { LocalImage } from '@tsbuild/builder'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { main } from '../main.ts'
import { memoryHost } from '../test-support/memory-host.ts'

const image: LocalImage = {
  name: 'docker.io/library/app:1.0',
  descriptor: {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: digestBytes('manifest'),
    size: 7,
  },
  configDigest: digestBytes('config'),
  sizeBytes: 72_800_000,
  created: '1970-01-01T00:00:00Z',
  platform: 'linux/amd64',
}

describe('main() bootstrap', () => {
  it('makes a base image and prints its name and id', async () => {
    const calls: unknown[] = []
    const bootstrap = async (options: unknown): Promise<LocalImage> => {
      calls.push(options)
      return image
    }
    const machine = memoryHost({ builder: { bootstrap }, env: { HOME: '/work dir' } })
    const argv = ['bootstrap', '--package', 'a,b', '--package', 'c', '--variant', 'apt', 'debian:12']
    expect(await main(argv, machine)).toBe(0)
    expect(calls).toMatchObject([
      { image: 'debian:12', packages: ['a', 'b', 'c'], variant: 'apt', force: false },
    ])
    expect(machine.out()).toBe(`${image.name} ${image.configDigest}\n`)
  })
})
