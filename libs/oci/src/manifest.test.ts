import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import {
  maxDocumentBytes,
  mediaTypes,
  parseImageConfig,
  parseIndex,
  parseManifest,
  parseManifestOrIndex,
  serializeImageConfig,
  serializeIndex,
  serializeManifest,
} from './index.ts'

const sha = (text: string) => digestBytes(text)
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
const invalid = (why: string) =>
  expect.objectContaining({ code: 'ERR_MANIFEST_INVALID', message: expect.stringContaining(why) })

const config = { mediaType: mediaTypes.ociConfig, digest: sha('c'), size: 2 }
const layer = { mediaType: mediaTypes.ociLayerGzip, digest: sha('l'), size: 3 }
const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] }
const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }

describe('manifests', () => {
  it('parseManifest() and serializeManifest() are inverse, and the bytes are pinned', () => {
    const value = parseManifest(bytes({ ...manifest, annotations: { b: '2', a: '1' } }))
    const written = serializeManifest(value)
    expect(parseManifest(written)).toEqual(value)
    expect(written.toString()).toBe(
      `{"schemaVersion":2,"mediaType":"${mediaTypes.ociManifest}","config":${JSON.stringify(config)},` +
        `"layers":[${JSON.stringify(layer)}],"annotations":{"a":"1","b":"2"}}`,
    )
    expect(sha(written.toString())).toBe(
      'sha256:ba63e4722e209762f2aca3f93cbd3ac0dcf1242fe702cc6955dd65f95921286b',
    )
  })

  it('serializeIndex() writes platforms and annotations as other tools read them', () => {
    const platform = { os: 'windows', architecture: 'arm64', variant: 'v8', osVersion: '10.0.1' }
    const entry = { ...layer, mediaType: mediaTypes.ociManifest, platform, annotations: { z: '', a: 'ä' } }
    const value = { mediaType: mediaTypes.ociIndex, manifests: [entry], annotations: {} }
    const written = serializeIndex(value)
    expect(parseIndex(written)).toEqual(value)
    expect(JSON.parse(written.toString()).manifests[0].platform).toEqual({
      architecture: 'arm64',
      os: 'windows',
      'os.version': '10.0.1',
      variant: 'v8',
    })
    expect(sha(written.toString())).toBe(
      'sha256:aa3619985a327f52b162f895b534cd1b891155ae1eb3e4d9f917845e59a5d226',
    )
  })

  it("parseManifest() reads Docker's schema 2 and keeps its media types", () => {
    const docker = { ...manifest, mediaType: mediaTypes.dockerManifest }
    expect(parseManifest(bytes(docker), mediaTypes.dockerManifest).mediaType).toBe(mediaTypes.dockerManifest)
    const list = { ...index, mediaType: mediaTypes.dockerManifestList }
    expect(parseIndex(bytes(list)).mediaType).toBe(mediaTypes.dockerManifestList)
  })

  it('parseManifest() takes the announced type where the document has none, and ignores generic announcements', () => {
    const bare = { ...manifest, mediaType: undefined }
    expect(parseManifest(bytes(bare), `${mediaTypes.dockerManifest}; charset=utf-8`).mediaType).toBe(
      mediaTypes.dockerManifest,
    )
    expect(parseManifest(bytes(bare), 'application/json').mediaType).toBe(mediaTypes.ociManifest)
    expect(parseManifest(bytes(bare)).mediaType).toBe(mediaTypes.ociManifest)
  })

  it('parseManifest() drops urls and data: nothing is fetched from where a manifest says', () => {
    const foreign = { ...layer, urls: ['http://127.0.0.1/secret'], data: 'eA==', unknown: 1 }
    expect(parseManifest(bytes({ ...manifest, layers: [foreign] })).layers).toEqual([layer])
  })

  it.each([
    [{ ...manifest, manifests: [] }, undefined, 'ambiguous'],
    [{ ...index, layers: [] }, undefined, 'ambiguous'],
    [{ ...manifest, fsLayers: [] }, undefined, 'ambiguous'],
    [{ ...index, signatures: [] }, undefined, 'ambiguous'],
    [{ ...manifest, mediaType: mediaTypes.ociIndex }, undefined, 'ambiguous'],
    [{ ...index, mediaType: mediaTypes.dockerManifest }, undefined, 'ambiguous'],
    [manifest, mediaTypes.ociIndex, 'ambiguous'],
    [manifest, mediaTypes.dockerManifest, 'ambiguous'],
    [index, mediaTypes.ociManifest, 'ambiguous'],
    [{ ...manifest, mediaType: undefined }, mediaTypes.ociIndex, 'ambiguous'],
    [{ ...manifest, mediaType: 'text/plain' }, undefined, 'ambiguous'],
    [{ schemaVersion: 1, fsLayers: [], history: [] }, undefined, 'schema 1'],
    [
      { schemaVersion: 2, layers: [] },
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'schema 1',
    ],
    [{ ...manifest, schemaVersion: 3 }, undefined, 'schemaVersion is 3'],
    [{ ...manifest, schemaVersion: undefined }, undefined, 'schemaVersion is missing'],
    [{ schemaVersion: 2 }, undefined, 'neither'],
    [{ ...manifest, layers: {} }, undefined, 'layers'],
    [{ ...manifest, layers: [null] }, undefined, 'layers[0]'],
    [{ ...manifest, config: undefined }, undefined, 'config'],
    [{ ...manifest, layers: [{ ...layer, size: -1 }] }, undefined, 'layers[0].size is -1'],
    [{ ...manifest, layers: [{ ...layer, size: 1.5 }] }, undefined, 'layers[0].size'],
    [{ ...manifest, layers: [{ ...layer, size: 2 ** 53 }] }, undefined, 'layers[0].size'],
    [{ ...manifest, layers: [{ ...layer, size: '3' }] }, undefined, 'layers[0].size'],
    [{ ...manifest, layers: [{ ...layer, mediaType: 7 }] }, undefined, 'layers[0].mediaType'],
    [{ ...manifest, annotations: { a: 1 } }, undefined, 'annotations.a'],
    [
      { ...index, manifests: [{ ...layer, platform: { os: '../..', architecture: 'x' } }] },
      undefined,
      'platform.os',
    ],
    [
      { ...index, manifests: [{ ...layer, platform: { os: 'linux', architecture: 'a/b' } }] },
      undefined,
      'architecture',
    ],
    [[], undefined, 'expected an object'],
    ['null', undefined, 'expected an object'],
    ['', undefined, 'not JSON'],
    ['{"a":1', undefined, 'not JSON'],
    ['{"schemaVersion":2,"schemaVersion":2}', undefined, 'twice'],
    [`{"schemaVersion":2,"a":{"digest":"x","d\\u0069gest":"y"}}`, undefined, 'twice'],
  ])('parseManifestOrIndex() refuses case %#: %j', (document, hint, why) => {
    expect(() => parseManifestOrIndex(bytes(document), hint)).toThrow(invalid(why))
  })

  it.each([
    'sha256:../../etc/passwd',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'a'.repeat(65)}`,
    `sha256:${'a'.repeat(64)}\n`,
    `sha512:${'a'.repeat(128)}`,
    'a'.repeat(64),
    '',
    null,
    {},
  ])('parseManifest() refuses the digest %j', (digest) => {
    const document = { ...manifest, layers: [{ ...layer, digest }] }
    expect(() => parseManifest(bytes(document))).toThrow(invalid('layers[0].digest'))
  })

  it('parseManifest() reads 4 MiB and refuses a byte more', () => {
    const sized = (length: number) => {
      const empty = bytes({ ...manifest, x: '' }).length
      return bytes({ ...manifest, x: 'x'.repeat(length - empty) })
    }
    expect(parseManifest(sized(maxDocumentBytes)).layers).toHaveLength(1)
    expect(() => parseManifest(sized(maxDocumentBytes + 1))).toThrow(invalid('larger'))
  })

  it('parseManifest() survives 4 MiB of escapes, quotes and brackets in texts', () => {
    const text = '\\"{}[]'.repeat(200_000)
    expect(parseManifest(bytes({ ...manifest, x: text })).layers).toHaveLength(1)
  })

  it('parseManifest() refuses 100,000 nested brackets', () => {
    const deep = `{"schemaVersion":2,"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    expect(() => parseManifest(bytes(deep))).toThrow(invalid('nested'))
  })

  it('parseManifest() refuses bytes that are no UTF-8', () => {
    const broken = Buffer.concat([bytes('{"a":"'), Buffer.from([0xff]), bytes('"}')])
    expect(() => parseManifest(broken)).toThrow(invalid('not JSON'))
  })

  it('parseIndex() and parseManifest() refuse each other', () => {
    expect(() => parseIndex(bytes(manifest))).toThrow(invalid('image manifest'))
    expect(() => parseManifest(bytes(index))).toThrow(invalid('image index'))
  })
})

const full = {
  created: '2026-01-01T00:00:00Z',
  author: 'me',
  architecture: 'arm64',
  os: 'linux',
  variant: 'v8',
  config: {
    User: '1000:1000',
    ExposedPorts: { '443/tcp': {}, '80/tcp': {} },
    Env: ['PATH=/bin', 'A=b=c'],
    Entrypoint: ['/bin/sh', '-c'],
    Cmd: ['x'],
    Volumes: { '/data': {} },
    WorkingDir: '/srv',
    Labels: { a: '1', b: '' },
    StopSignal: 'SIGTERM',
    Healthcheck: {
      Test: ['CMD', 'true'],
      Interval: 30_000_000_000,
      Timeout: 1_000_000_000,
      StartPeriod: 5,
      StartInterval: 6,
      Retries: 3,
    },
    OnBuild: ['RUN true'],
    Shell: ['/bin/bash', '-c'],
  },
  rootfs: { type: 'layers', diff_ids: [sha('d')] },
  history: [
    { created: '2026-01-01T00:00:00Z', created_by: 'COPY . .', comment: 'buildkit' },
    { created_by: 'ENV A=1', author: 'me', empty_layer: true },
  ],
}

describe('image configs', () => {
  it('parseImageConfig() and serializeImageConfig() are inverse for everything Docker writes; the bytes are pinned', () => {
    const value = parseImageConfig(bytes(full))
    const written = serializeImageConfig(value)
    expect(JSON.parse(written.toString())).toEqual(full)
    expect(parseImageConfig(written)).toEqual(value)
    expect(sha(written.toString())).toBe(
      'sha256:146749974aca28427dc4c25eab99b101dc49e610f6b02e61d3769aacd18220db',
    )
  })

  it('parseImageConfig() takes null, empty and missing for the same', () => {
    const empty = { User: '', ExposedPorts: null, Env: [], Cmd: null, Volumes: {}, Labels: null, OnBuild: [] }
    const base = {
      architecture: 'amd64',
      os: 'linux',
      variant: '',
      rootfs: { type: 'layers', diff_ids: null },
    }
    const value = parseImageConfig(bytes({ ...base, config: empty, history: null, docker_version: '20' }))
    expect(value).toEqual({
      platform: { os: 'linux', architecture: 'amd64' },
      config: {},
      diffIds: [],
      history: [],
    })
    expect(serializeImageConfig(value).toString()).toBe(
      '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]},"history":[]}',
    )
  })

  it('parseImageConfig() keeps a label named __proto__ a label', () => {
    const document = JSON.stringify(full).replace('"a":"1"', '"__proto__":"1"')
    const value = parseImageConfig(bytes(document))
    expect(Object.keys(value.config.labels ?? {})).toEqual(['__proto__', 'b'])
    expect(serializeImageConfig(value).toString()).toContain('"__proto__":"1"')
  })

  it.each([
    [{ ...full, os: undefined }, 'os is missing'],
    [{ ...full, architecture: '../x' }, 'architecture'],
    [{ ...full, rootfs: undefined }, 'rootfs'],
    [{ ...full, rootfs: { diff_ids: ['sha256:x'] } }, 'rootfs.diff_ids[0]'],
    [{ ...full, config: { Env: 'A=1' } }, 'config.Env'],
    [{ ...full, config: { Env: [1] } }, 'config.Env[0]'],
    [{ ...full, config: { ExposedPorts: ['80'] } }, 'config.ExposedPorts'],
    [{ ...full, config: { Healthcheck: { Interval: 1e300 } } }, 'Interval'],
    [{ ...full, history: [{ empty_layer: 'yes' }] }, 'history[0].empty_layer'],
  ])('parseImageConfig() refuses case %# and names the member', (document, why) => {
    expect(() => parseImageConfig(bytes(document))).toThrow(invalid(why))
  })
})
