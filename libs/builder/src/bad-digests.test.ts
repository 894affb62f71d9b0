import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import { mediaTypes, parseManifest } from '@tsbuild/oci'
import type { RegistryClient } from '@tsbuild/registry'
import type { Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { copyImage, loadImages, pullImage, pushImage, saveImages, tagImage } from './image-calls.ts'
import { removeImages } from './image-list.ts'
import { createIndex } from './index-calls.ts'
import { inspectImage } from './inspect-image.ts'
import type { Machine } from './machine.ts'
import { createImageSource } from './resolve-image.ts'

const hex = 'a'.repeat(64)
const bad = [
  ...['sha256:', 'sha256:../../x', `sha256:${hex.toUpperCase()}`, `sha256:${hex}0`, `sha256:${hex.slice(1)}`],
  ...[`sha256:${hex.slice(1)}g`, `sha256:${hex}\n`, `sha256: ${hex}`, `SHA256:${hex}`, `sha512:${hex}`],
  ...[`sha512:${hex}${hex}`, `md5:${'a'.repeat(32)}`, `sha256-${hex}`, `sha256:${hex}:x`, `sha256:${hex}@x`],
  ...[`sha256:${hex.slice(32)}/../${hex.slice(40)}`, `sha256:${hex}\0`, `sha256:%2e%2e%2f${hex.slice(9)}`],
  ...[
    'sha256:/etc/passwd',
    'sha256:.',
    ':',
    `:${hex}`,
    `sha256+b64:${hex}`,
    `sha256:${'٠'.repeat(64)}`,
    `sha384:${hex}`,
  ],
]

let store: Store
let machine: Machine
let folder: string
beforeEach(async () => {
  store = await temporaryStore()
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-digests-'))
  const registry = (): RegistryClient => {
    throw new Error('a registry was asked')
  }
  // Only what these calls use of it.
  machine = { store, registry, now: () => 0 } as Partial<Machine> as Machine
})

/** The code of the error that a call ends with. */
async function codeOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call()
    return 'none'
  } catch (error) {
    if (!isBuildError(error)) throw error
    return error.code
  }
}

describe('MAN-02: a digest that is none', () => {
  it('has 25 forms', () => expect(new Set(bad).size).toBe(25))

  it.each(bad)(
    '%j reaches no registry and no file, wherever a user or a Dockerfile writes it',
    async (digest) => {
      const name = `host.test/app@${digest}`
      const layout = `oci:${folder}@${digest}`
      const source = createImageSource({ store, registry: machine.registry })
      const resolve = { pull: true, signal: new AbortController().signal }
      const calls: Readonly<Record<string, () => Promise<unknown>>> = {
        from: () => source.resolve(name, { os: 'linux', architecture: 'amd64' }, resolve),
        pull: () => pullImage(machine, { name }),
        push: () => pushImage(machine, { name }),
        'copy from a registry': () => copyImage(machine, { from: name, to: 'store:x', cwd: folder }),
        'copy to a registry': () => copyImage(machine, { from: 'store:x', to: name, cwd: folder }),
        'copy from a layout': () => copyImage(machine, { from: layout, to: 'store:x', cwd: folder }),
        'copy to a layout': () => copyImage(machine, { from: 'store:x', to: layout, cwd: folder }),
        'tag of': () => tagImage(machine, name, 'x'),
        'tag as': () => tagImage(machine, 'x', name),
        rmi: () => removeImages(machine, { names: [name] }),
        'rmi of an id': () => removeImages(machine, { names: [digest] }),
        save: () => saveImages(machine, { names: [name], format: 'oci', output: 'x.tar', cwd: folder }),
        inspect: () => inspectImage(machine, { image: name, remote: true, cwd: folder }),
        'inspect of a layout': () => inspectImage(machine, { image: layout, cwd: folder }),
        'index create': () => createIndex(machine, { names: ['host.test/x'], sources: [name], cwd: folder }),
        'index create from a file': () =>
          createIndex(machine, {
            names: ['host.test/x'],
            sources: [],
            descriptors: [JSON.stringify({ mediaType: mediaTypes.ociManifest, digest, size: 1 })],
            cwd: folder,
          }),
        'load of what is not there': () =>
          loadImages(machine, { input: `${folder}/${digest.replaceAll('\0', '')}`, cwd: folder }),
      }
      for (const [what, call] of Object.entries(calls))
        expect(await codeOf(call), what).toMatch(
          /^ERR_(?:REFERENCE_INVALID|DIGEST_INVALID|MANIFEST_INVALID|IMAGE_NOT_FOUND|ARCHIVE_INVALID)$/,
        )
    },
  )

  it.each(bad)('%j makes a manifest invalid, in its config and in its layers', (digest) => {
    const good = { mediaType: mediaTypes.ociConfig, digest: digestBytes('x'), size: 1 }
    const wrong = { ...good, digest }
    for (const parts of [
      { config: wrong, layers: [] },
      { config: good, layers: [wrong] },
      { config: good, layers: [], subject: wrong },
    ]) {
      const bytes = Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, ...parts }),
      )
      expect(() => parseManifest(bytes)).toThrow(expect.objectContaining({ code: 'ERR_MANIFEST_INVALID' }))
    }
  })
})
