import { digestBytes, parseDiffId } from '@tsbuild/digest'
import { createGraphBuilder, type ExecOp, type Graph } from '@tsbuild/graph'
import { describe, expect, it } from 'vitest'
import { createProvenance } from './create-provenance.ts'
import type { BuildDescription, ProvenanceOptions } from './types.ts'

const manifest = digestBytes('manifest')
const layer = {
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  digest: digestBytes('layer'),
  size: 5,
  diffId: parseDiffId(digestBytes('diff')),
}
const exec = (args: readonly string[], more: Partial<ExecOp> = {}): ExecOp => ({
  kind: 'exec',
  rootfs: 0,
  args,
  env: ['PATH=/bin'],
  cwd: '/',
  user: '',
  network: 'default',
  security: 'sandbox',
  hostname: '',
  extraHosts: [],
  platform: 'linux/amd64',
  scripts: [],
  mounts: [],
  ulimits: [],
  shmSizeBytes: undefined,
  cgroupParent: undefined,
  ...more,
})

const at = (startLine: number, endLine: number) => ({
  file: 'Dockerfile',
  startLine,
  startColumn: 1,
  endLine,
  endColumn: 1,
})

function graphOf(run: ExecOp = exec(['sh', '-c', 'make'])): Graph {
  const graph = createGraphBuilder()
  const base = graph.add(
    { kind: 'image', reference: 'docker.io/library/debian:12', manifest, layers: [layer] },
    { inputs: [], name: 'FROM', source: at(1, 1) },
  )
  const local = graph.add({ kind: 'local', name: 'context' }, { inputs: [], name: 'context' })
  const copy = {
    kind: 'copy',
    input: 1,
    sources: ['a'],
    dest: '/a',
    exclude: [],
    parents: false,
    chown: undefined,
    chmod: undefined,
    unpack: false,
  } as const
  const file = graph.add(
    { kind: 'file', rootfs: 0, owners: undefined, actions: [copy] },
    { inputs: [base, local], name: 'COPY', source: at(2, 2) },
  )
  return graph.build(
    graph.add(run, {
      inputs: [file],
      name: 'RUN',
      source: at(3, 4),
    }),
  )
}

function describeBuild(more: Partial<BuildDescription> = {}): BuildDescription {
  return {
    source: undefined,
    dockerfile: { name: 'Dockerfile', text: 'FROM debian:12\n' },
    target: 'app',
    buildArgs: { VERSION: '1.2.3' },
    labels: { team: 'blue' },
    contexts: { lib: '../lib' },
    locals: ['context', 'dockerfile'],
    graph: graphOf(),
    materials: [{ uri: 'pkg:docker/debian@12?platform=linux%2Famd64', digest: { sha256: 'ab' } }],
    builderPlatform: { os: 'linux', architecture: 'amd64' },
    invocationId: 'abc',
    startedAt: 0,
    finishedAt: 1500,
    layers: [],
    ...more,
  }
}

const min: ProvenanceOptions = { mode: 'min', version: 'v1' }
const max: ProvenanceOptions = { mode: 'max', version: 'v1' }
const textOf = (build: BuildDescription, options: ProvenanceOptions) =>
  JSON.stringify(createProvenance(build, options))
/** Also what is encoded in it. */
const wholeTextOf = (build: BuildDescription, options: ProvenanceOptions) => {
  const text = textOf(build, options)
  const data = [...text.matchAll(/"data":"([^"]*)"/g)].map(([, encoded = '']) =>
    Buffer.from(encoded, 'base64').toString(),
  )
  return [text, ...data].join('\n')
}

describe('createProvenance()', () => {
  it('createProvenance() has materials and metadata alone with mode=min', () => {
    expect(createProvenance(describeBuild(), min)).toEqual({
      predicateType: 'https://slsa.dev/provenance/v1',
      predicate: {
        buildDefinition: {
          buildType: 'tag:tsbuild,2026:dockerfile/v1',
          externalParameters: {
            configSource: { path: 'Dockerfile' },
            request: {
              frontend: 'dockerfile.v0',
              args: { target: 'app' },
              locals: [{ name: 'context' }, { name: 'dockerfile' }],
            },
          },
          internalParameters: { builderPlatform: 'linux/amd64' },
          resolvedDependencies: [
            { uri: 'pkg:docker/debian@12?platform=linux%2Famd64', digest: { sha256: 'ab' } },
          ],
        },
        runDetails: {
          builder: { id: '' },
          metadata: {
            invocationID: 'abc',
            startedOn: '1970-01-01T00:00:00.000Z',
            finishedOn: '1970-01-01T00:00:01.500Z',
            buildkit_hermetic: false,
            buildkit_completeness: { request: false, resolvedDependencies: false },
            buildkit_reproducible: false,
          },
        },
      },
    })
  })

  it('createProvenance() has arguments, graph, Dockerfile and layers with mode=max', () => {
    const descriptor = (name: string) => ({ mediaType: 'layer', digest: digestBytes(name), size: 1 })
    const layers = ['1', '2', '3'].map(descriptor)
    const { predicate } = createProvenance(describeBuild({ layers }), max)
    expect(predicate).toMatchObject({
      buildDefinition: {
        externalParameters: {
          request: {
            args: {
              'build-arg:VERSION': '1.2.3',
              'context:lib': '../lib',
              'label:team': 'blue',
              target: 'app',
            },
          },
        },
        internalParameters: {
          buildConfig: {
            llbDefinition: [
              {
                id: 'step0',
                op: {
                  Op: { source: { identifier: `docker-image://docker.io/library/debian:12@${manifest}` } },
                },
              },
              { id: 'step1', op: { Op: { source: { identifier: 'local://context' } } } },
              {
                id: 'step2',
                op: {
                  Op: {
                    file: {
                      actions: [{ Action: { copy: { src: 'a', dest: '/a' } }, input: 0, secondaryInput: 1 }],
                    },
                  },
                },
                inputs: ['step0:0', 'step1:0'],
              },
              {
                id: 'step3',
                op: {
                  Op: { exec: { meta: { args: ['sh', '-c', 'make'], env: ['PATH=/bin'], cwd: '/' } } },
                  platform: { OS: 'linux', Architecture: 'amd64' },
                },
                inputs: ['step2:0'],
              },
              { id: 'step4', op: { Op: null }, inputs: ['step3:0'] },
            ],
          },
        },
      },
      runDetails: {
        metadata: {
          buildkit_metadata: {
            source: {
              locations: {
                step0: { locations: [{ ranges: [{ start: { line: 1 }, end: { line: 1 } }] }] },
                step3: { locations: [{ ranges: [{ start: { line: 3 }, end: { line: 4 } }] }] },
              },
              infos: [
                {
                  filename: 'Dockerfile',
                  language: 'Dockerfile',
                  data: Buffer.from('FROM debian:12\n').toString('base64'),
                },
              ],
            },
            layers: {
              'step0:0': [layers.slice(0, 1)],
              'step2:0': [layers.slice(0, 2)],
              'step3:0': [layers],
            },
          },
          buildkit_completeness: { request: true },
        },
      },
    })
  })

  it('createProvenance() says the same in the words of v0.2', () => {
    const source = { uri: 'https://git.test/r.git#main', digest: { sha1: 'cd' } }
    const build = describeBuild({ source, locals: [], graph: graphOf(exec(['true'], { network: 'none' })) })
    expect(createProvenance(build, { ...min, version: 'v0.2', builderId: 'https://ci.test/1' })).toEqual({
      predicateType: 'https://slsa.dev/provenance/v0.2',
      predicate: {
        builder: { id: 'https://ci.test/1' },
        buildType: 'https://mobyproject.org/buildkit@v1',
        materials: [{ uri: 'pkg:docker/debian@12?platform=linux%2Famd64', digest: { sha256: 'ab' } }],
        invocation: {
          configSource: { ...source, entryPoint: 'Dockerfile' },
          parameters: { frontend: 'dockerfile.v0', args: { target: 'app' } },
          environment: { platform: 'linux/amd64' },
        },
        metadata: {
          buildInvocationID: 'abc',
          buildStartedOn: '1970-01-01T00:00:00.000Z',
          buildFinishedOn: '1970-01-01T00:00:01.500Z',
          completeness: { parameters: false, environment: true, materials: true },
          reproducible: false,
          'https://mobyproject.org/buildkit@v1#hermetic': true,
        },
      },
    })
  })

  it('createProvenance() is the same text for the same build, whatever the times, when it is timeless', () => {
    const one = describeBuild()
    const later = describeBuild({ invocationId: 'xyz', startedAt: 5, finishedAt: 6 })
    expect(textOf(one, max)).not.toBe(textOf(later, max))
    expect(textOf(one, { ...max, timeless: true })).toBe(textOf(later, { ...max, timeless: true }))
  })

  it('createProvenance() leaves the layers out that are not those of the graph', () => {
    const layers = [{ mediaType: 'layer', digest: digestBytes('1'), size: 1 }]
    expect(textOf(describeBuild({ layers }), max)).not.toContain('"layers"')
  })

  it('createProvenance() lists which secrets and agents were used, with mode=max', () => {
    const base = { mode: 0o400, uid: 0, gid: 0 }
    const mounts = [
      { kind: 'secret', id: 'b', target: '/run/secrets/b', env: undefined, required: false, ...base },
      { kind: 'secret', id: 'a', target: undefined, env: 'A', required: true, ...base },
      { kind: 'ssh', id: 'default', target: '/run/agent', required: true, ...base },
    ] as const
    const build = describeBuild({ graph: graphOf(exec(['true'], { mounts })) })
    expect(createProvenance(build, max).predicate).toMatchObject({
      buildDefinition: {
        externalParameters: {
          request: { secrets: [{ id: 'a' }, { id: 'b', optional: true }], ssh: [{ id: 'default' }] },
        },
      },
    })
    expect(textOf(build, min)).not.toContain('secrets')
  })
})

describe('SEC-03', () => {
  const canary = 'canary-0123456789'
  const places: readonly (readonly [string, Partial<BuildDescription>])[] = [
    ['an argument called like a secret', { buildArgs: { API_TOKEN: canary } }],
    ['a short secret', { buildArgs: { DB_PASSWORD: 'pw' } }],
    ['a proxy', { buildArgs: { HTTP_PROXY: `http://${canary}.test:3128` } }],
    ['a proxy in lower case', { buildArgs: { https_proxy: `http://${canary}.test:3128` } }],
    [
      'a value in the form of a token',
      { buildArgs: { X: `ghp_${canary.replaceAll('-', '')}${'0'.repeat(20)}` } },
    ],
    ['the credentials of a context', { contexts: { lib: `https://me:${canary}@git.test/r.git` } }],
    ['the credentials of what is not on record', { locals: [`https://me:${canary}@x.test/f`] }],
    [
      'the credentials of the source',
      { source: { uri: `https://me:${canary}@git.test/r.git`, digest: { sha1: 'a' } } },
    ],
    [
      'a token in the URL of a material',
      { materials: [{ uri: `https://x.test/f?token=${canary}`, digest: {} }] },
    ],
    [
      'a secret argument in a command',
      { buildArgs: { API_TOKEN: canary }, graph: graphOf(exec(['sh', '-c', `curl -u ${canary}`])) },
    ],
    [
      'a secret argument in a label',
      { buildArgs: { API_TOKEN: canary }, labels: { note: `it is ${canary}` } },
    ],
    [
      'the default of a secret argument',
      {
        graph: graphOf(exec(['true'], { env: [`API_TOKEN=${canary}`] })),
        dockerfile: { name: 'Dockerfile', text: `ARG API_TOKEN=${canary}\n` },
      },
    ],
    [
      'the default of a secret argument that no step sees',
      {
        buildArgs: { API_TOKEN: 'another one' },
        dockerfile: {
          name: 'Dockerfile',
          text: `ARG API_TOKEN="${canary}"\nFROM debian:12\nENV A=b \\\n  DB_PASSWORD=${canary}\n`,
        },
      },
    ],
    [
      'the credentials of a URL in the Dockerfile',
      { dockerfile: { name: 'Dockerfile', text: `ADD https://me:${canary}@x.test/f /\n` } },
    ],
  ]
  const secretOf = (name: string) => (name === 'a short secret' ? '"pw"' : canary)

  it.each(places)('createProvenance() tells nothing of %s', (name, more) => {
    const build = describeBuild(more)
    for (const version of ['v1', 'v0.2'] as const) {
      for (const mode of ['min', 'max'] as const)
        expect(wholeTextOf(build, { mode, version })).not.toContain(secretOf(name))
    }
  })

  it('createProvenance() names steps by digests that do not depend on a secret', () => {
    const withToken = (token: string) =>
      textOf(describeBuild({ graph: graphOf(exec(['true'], { env: [`API_TOKEN=${token}`] })) }), max)
    expect(withToken('one')).toBe(withToken('two'))
  })

  it('createProvenance() shows in mode=max that there was an argument, and the value of every other', () => {
    const text = textOf(
      describeBuild({ buildArgs: { API_TOKEN: canary, HTTP_PROXY: 'http://p', A: 'plain' } }),
      max,
    )
    expect(text).toContain('"build-arg:API_TOKEN":"***"')
    expect(text).toContain('"build-arg:HTTP_PROXY":"***"')
    expect(text).toContain('"build-arg:A":"plain"')
  })

  it('createProvenance() tells the value of no argument, label or context in mode=min', () => {
    const build = describeBuild({
      buildArgs: { PLAIN: canary },
      labels: { plain: canary },
      contexts: { plain: canary },
      graph: graphOf(exec([canary], { env: [`PLAIN=${canary}`] })),
      dockerfile: { name: 'Dockerfile', text: `RUN ${canary}` },
    })
    expect(wholeTextOf(build, min)).not.toContain(canary)
    expect(wholeTextOf(build, max)).toContain(canary)
  })
})
