import { spawnSync } from 'node:child_process'
import { createWriteStream, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import { afterAll, describe, expect, it } from 'vitest'
import {
  type Descriptor,
  mediaTypes,
  serializeImageConfig,
  serializeManifest,
  writeDockerArchive,
  writeOciArchive,
} from './index.ts'

const skopeo = '/usr/bin/skopeo'
const directory = mkdtempSync(join(tmpdir(), 'tsbuild-archive-'))
afterAll(() => rmSync(directory, { recursive: true }))

function makeImage() {
  const blobs = new Map<string, Buffer>()
  const put = (bytes: Buffer, mediaType: string): Descriptor => {
    const digest = digestBytes(bytes)
    blobs.set(digest, bytes)
    return { mediaType, digest, size: bytes.length }
  }
  // Two blocks of zeros are the tar of an empty layer.
  const tar = Buffer.alloc(1024)
  const config = serializeImageConfig({
    created: '2026-01-01T00:00:00Z',
    platform: { os: 'linux', architecture: 'amd64' },
    config: { labels: { made: 'here' }, env: ['A=1'] },
    diffIds: [parseDiffId(digestBytes(tar))],
    history: [{ createdBy: 'COPY . .' }],
  })
  const manifest = {
    mediaType: mediaTypes.ociManifest,
    config: put(config, mediaTypes.ociConfig),
    layers: [put(tar, mediaTypes.ociLayer)],
    annotations: {},
  }
  const root = put(serializeManifest(manifest), manifest.mediaType)
  const open = (digest: Digest) => Readable.from([blobs.get(digest) ?? Buffer.alloc(0)])
  return { root, names: ['docker.io/library/app:1.0'], open }
}

describe.skipIf(!existsSync(skopeo))('archives as skopeo sees them', () => {
  it.each([
    ['oci-archive', writeOciArchive],
    ['oci-archive', writeDockerArchive],
    ['docker-archive', writeDockerArchive],
  ] as const)('case %#: it inspects an %s', async (transport, write) => {
    const image = makeImage()
    const file = join(directory, `${transport}-${write.name}.tar`)
    const out = createWriteStream(file)
    await write(out, image)
    out.end()
    await finished(out)
    const source = transport === 'oci-archive' ? `${transport}:${file}:1.0` : `${transport}:${file}`
    const { stdout, stderr } = spawnSync(skopeo, ['inspect', source], { encoding: 'utf8' })
    expect(stderr).toBe('')
    const seen: unknown = JSON.parse(stdout)
    expect(seen).toMatchObject({ Architecture: 'amd64', Labels: { made: 'here' }, Env: ['A=1'] })
    if (transport === 'oci-archive') expect(seen).toMatchObject({ Digest: image.root.digest })
  })
})
