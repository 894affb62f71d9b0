import type { ImageReport, Inspection, ListedImage } from '@tsbuild/builder'
import { digestBytes } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { main } from '../main.ts'
import { memoryHost as hostOf, type MemoryHostOptions } from '../test-support/memory-host.ts'
import { parseTemplate } from './template.ts'

const memoryHost = (options: MemoryHostOptions = {}) =>
  hostOf({ env: { TSBUILD_ROOT: '/store' }, ...options })
const configDigest = digestBytes('config')
const digest = digestBytes('manifest')
const descriptor = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size: 7 }
const id = configDigest.slice(7, 19)

function image(change: Partial<ListedImage>): ListedImage {
  return {
    name: 'docker.io/library/app:1.0',
    descriptor,
    configDigest,
    sizeBytes: 72_800_000,
    created: '1970-01-01T00:00:00Z',
    platform: 'linux/amd64',
    platforms: ['linux/amd64'],
    labels: {},
    ...change,
  }
}

const images = [image({}), image({ name: 'host.test:5000/team/tool:v2', sizeBytes: 999, created: undefined })]

describe('main() images', () => {
  const list = async (listed: readonly ListedImage[], ...argv: string[]): Promise<string> => {
    const machine = memoryHost({ builder: { listImages: async () => listed } })
    expect(await main(['images', ...argv], machine)).toBe(0)
    return machine.out()
  }

  it('lists images as a table, as JSON, as ids and by a template', async () => {
    expect(await list(images)).toBe(`NAME                       TAG   IMAGE ID       CREATED         SIZE
app                        1.0   ${id}   5 seconds ago   72.8MB
host.test:5000/team/tool   v2    ${id}   -               999B
`)
    expect(JSON.parse(await list(images, '--format', 'json'))).toHaveLength(2)
    expect(await list(images, '-q')).toBe(`${configDigest}\n${configDigest}\n`)
    expect(await list(images, '--format', '{{.Repository}}:{{.Tag}} {{.ID}}')).toContain(`app:1.0 ${id}\n`)
    expect(await main(['images', '--format', 'xml'], memoryHost())).toBe(2)
  })

  it('shows digests, whole ids, platforms where there are several, and what has no name', async () => {
    expect(await list(images, '--digests', '--no-trunc')).toMatch(
      new RegExp(`app +1.0 +${digest} +${configDigest} `),
    )
    const several = image({ platform: 'linux/amd64, linux/arm64', platforms: ['linux/amd64', 'linux/arm64'] })
    expect(await list([several])).toMatch(/SIZE +PLATFORM\n.*linux\/amd64, linux\/arm64\n$/)
    expect(await list([image({ name: undefined })], '-a')).toMatch(/\n<none> +<none> /)
  })

  it('shows nothing that a terminal would obey', async () => {
    expect(await list([image({ name: 'a\x1b[2Jb' })])).toContain('a\\x1b[2Jb')
  })

  it('passes filters on, and a name as one', async () => {
    const calls: unknown[] = []
    const listImages = async (options: unknown) => {
      calls.push(options)
      return []
    }
    const machine = memoryHost({ builder: { listImages } })
    expect(await main(['images', '-a', '--filter', 'label=a=b', 'app*'], machine)).toBe(0)
    expect(calls).toEqual([{ filters: ['label=a=b', 'reference=app*'], all: true }])
  })
})

describe('main() rmi, tag, push, pull, load', () => {
  it('says of each name that it is gone, and of the image when it was the last one', async () => {
    const removeImages = async () => [
      { name: 'docker.io/library/app:1.0', digest, last: false },
      { name: undefined, digest, last: true },
    ]
    const machine = memoryHost({ builder: { removeImages } })
    expect(await main(['rmi', '-f', 'app:1.0', id], machine)).toBe(0)
    expect(machine.out()).toBe(`Untagged: app:1.0\nRemoved: ${digest}\n`)
    expect(await main(['rmi'], memoryHost())).toBe(2)
  })

  it('removes nothing where one name is not there', async () => {
    const removeImages = async (): Promise<never> => {
      throw new UserError('ERR_IMAGE_NOT_FOUND', 'Cannot find image "b": there is none')
    }
    const machine = memoryHost({ builder: { removeImages } })
    expect(await main(['rmi', 'a', 'b'], machine)).toBe(1)
    expect(machine.out()).toBe('')
  })

  it('tags in silence', async () => {
    const calls: unknown[] = []
    const tagImage = async (...args: unknown[]) => {
      calls.push(args)
      return ''
    }
    const machine = memoryHost({ builder: { tagImage } })
    expect(await main(['tag', 'a', 'b:1'], machine)).toBe(0)
    expect([calls, machine.out()]).toEqual([[['a', 'b:1']], ''])
    expect(await main(['tag', 'a'], memoryHost())).toBe(2)
  })

  it.each([
    [true, 'Downloaded newer image'],
    [false, 'Image is up to date'],
  ])('pulls as docker does: changed %s', async (changed, words) => {
    const pullImage = async () => ({ name: 'docker.io/library/app:1.0', descriptor, changed })
    const machine = memoryHost({ builder: { pullImage } })
    expect(await main(['pull', 'app:1.0'], machine)).toBe(0)
    expect(machine.out()).toBe(`Digest: ${digest}\nStatus: ${words} for app:1.0\ndocker.io/library/app:1.0\n`)
    const quiet = memoryHost({ builder: { pullImage } })
    expect(await main(['pull', '-q', 'app:1.0'], quiet)).toBe(0)
    expect(quiet.out()).toBe('docker.io/library/app:1.0\n')
  })

  it('pulls the platforms of the flag, or everything', async () => {
    const calls: { platforms?: unknown }[] = []
    const pullImage = async (options: { platforms?: unknown }) => {
      calls.push(options)
      return { name: 'x', descriptor, changed: true }
    }
    const run = (...argv: string[]) => main(['pull', ...argv, 'app'], memoryHost({ builder: { pullImage } }))
    expect([
      await run(),
      await run('--platform', 'linux/amd64,linux/arm64'),
      await run('--all-platforms'),
    ]).toEqual([0, 0, 0])
    expect(calls.map(({ platforms }) => platforms)).toEqual([
      undefined,
      ['linux/amd64', 'linux/arm64'],
      'all',
    ])
    expect(await run('--all-platforms', '--platform', 'linux/amd64')).toBe(2)
  })

  it('pushes as docker does', async () => {
    const pushImage = async () => [{ name: 'host.test:5000/a:1', descriptor, changed: true }]
    const machine = memoryHost({ builder: { pushImage } })
    expect(await main(['push', 'host.test:5000/a:1'], machine)).toBe(0)
    expect(machine.out()).toBe(`1: digest: ${digest} size: 7\n`)
  })

  it('loads as docker does', async () => {
    const loadImages = async () => [
      { names: ['docker.io/library/a:1'], descriptor },
      { names: [], descriptor },
    ]
    const machine = memoryHost({ builder: { loadImages } })
    expect(await main(['load', '-i', 'x.tar'], machine)).toBe(0)
    expect(machine.out()).toBe(`Loaded image: a:1\nLoaded image ID: ${digest}\n`)
  })

  it.each([
    [['save', 'app'], { stdoutIsTTY: true }],
    [['load'], { stdin: { isTTY: true } }],
  ])('%j moves no archive to or from a terminal', async (argv, options) => {
    const machine = memoryHost(options)
    expect(await main(argv, machine)).toBe(2)
    expect(machine.err()).toContain('terminal')
  })
})

const report: ImageReport = {
  place: 'store:app',
  names: ['docker.io/library/app:1.0'],
  digest,
  mediaType: descriptor.mediaType,
  annotations: { note: 'one\nNames:  forged' },
  manifests: [],
  attestations: [{ digest, type: 'attestation-manifest', subject: undefined, kept: 'index' }],
  image: {
    id: configDigest,
    manifest: digest,
    manifestAnnotations: {},
    platform: 'linux/amd64',
    os: 'linux',
    architecture: 'amd64',
    variant: undefined,
    created: '1970-01-01T00:00:00Z',
    author: undefined,
    config: { env: ['A=\x1b[31mred'], labels: { 'org.x/y': '1' }, cmd: ['sh'] },
    layers: [
      {
        digest,
        diffId: digest,
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        sizeBytes: 1000,
        createdBy: 'RUN make',
        annotations: {},
      },
    ],
    history: [{ createdBy: 'RUN make' }, { createdBy: 'ENV A=1', emptyLayer: true }],
    sizeBytes: 1000,
  },
}
const found: Inspection = { report, raw: Buffer.from('{"raw":1}'), config: Buffer.from('{"config":1}') }

describe('main() inspect', () => {
  const inspect = async (...argv: string[]) => {
    const machine = memoryHost({ builder: { inspectImage: async () => found } })
    const code = await main(['inspect', ...argv, 'app'], machine)
    return { code, out: machine.out(), err: machine.err() }
  }

  it('prints text in which nothing of an image is a line of its own, or an order', async () => {
    const { out } = await inspect()
    expect(out).toContain('RUN make')
    expect(out).toContain('note=one\\nNames:  forged')
    expect(out.split('\n').filter((line) => line.startsWith('Names:'))).toHaveLength(1)
    expect(out).toContain('A=\\x1b[31mred')
    expect(out).toContain('attestation-manifest')
  })

  it('prints documents byte for byte, JSON, and templates', async () => {
    expect((await inspect('--raw')).out).toBe('{"raw":1}')
    expect((await inspect('--config')).out).toBe('{"config":1}')
    expect(JSON.parse((await inspect('--format', 'json')).out)).toEqual(JSON.parse(JSON.stringify(report)))
    const template = '{{.Digest}} {{.Architecture}} {{index .Config.Labels "org.x/y"}} {{json .Config.Cmd}}'
    expect((await inspect('--format', template)).out).toBe(`${digest} amd64 1 ["sh"]\n`)
    expect((await inspect('--raw', '--config')).code).toBe(2)
  })
})

describe('parseTemplate()', () => {
  it.each([
    ['plain', 'plain'],
    ['{{.a}}|{{.b.c}}', '1|two'],
    ['{{json .b}}', '{"c":"two"}'],
    ['{{.B.C}}{{"\\n"}}', 'two\n'],
    ['{{.}}', '{"a":1,"b":{"c":"two"}}'],
    ['a\\tb', 'a\tb'],
    ['{{.missing}}', ''],
    ['{{json .missing}}', 'null'],
  ])('fills %j', (template, text) => {
    expect(parseTemplate(template)({ a: 1, b: { c: 'two' } })).toBe(text)
  })

  it.each(['{{.a', '{{range .a}}', '{{.a | upper}}', '{{if .a}}x{{end}}', '{{}}'])(
    'refuses %j',
    (template) => {
      expect(() => parseTemplate(template)({})).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
    },
  )

  it('reaches no member that an object inherits', () => {
    expect(parseTemplate('{{.constructor}}{{.__proto__}}')({})).toBe('')
  })
})
