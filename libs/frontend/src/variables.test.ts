import { describe, expect, it } from 'vitest'
import { convertText, execsOf, historyOf } from './testing/convert-text.ts'

const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** The environment of the last RUN without PATH, and that of the image. */
async function environments(
  text: string,
  buildArgs: Record<string, string> = {},
  env: readonly string[] = [],
) {
  const result = await convertText(text, { buildArgs, images: { base: { config: { env } } } })
  const without = (list: readonly string[] | undefined) => list?.filter((entry) => !entry.startsWith('PATH='))
  return { run: without(execsOf(result).at(-1)?.env), image: without(result.image.config.env), result }
}

describe('toGraph() and variables', () => {
  it.each([
    ['ENV then ARG: the ARG', 'FROM base\nENV A=e\nARG A=a\nRUN x\n', {}, ['A=a'], ['A=e']],
    [
      'ENV then ARG: the build argument',
      'FROM base\nENV A=e\nARG A=a\nRUN x\n',
      { A: 'b' },
      ['A=b'],
      ['A=e'],
    ],
    ['ENV then ARG without a value: the ENV', 'FROM base\nENV A=e\nARG A\nRUN x\n', {}, ['A=e'], ['A=e']],
    ['ARG then ENV: the ENV', 'FROM base\nARG A=a\nENV A=e\nRUN x\n', { A: 'b' }, ['A=e'], ['A=e']],
    ['an ENV that uses its ARG', 'FROM base\nARG A=a\nENV A=${A}1\nRUN x\n', {}, ['A=a1'], ['A=a1']],
    ['ARG without a value', 'FROM base\nARG A\nRUN x\n', {}, [], []],
    ['ARG with an empty value', 'FROM base\nARG A=\nRUN x\n', {}, ['A='], []],
    ['a build argument for ARG without a value', 'FROM base\nARG A\nRUN x\n', { A: 'b' }, ['A=b'], []],
    ['a build argument without ARG', 'FROM base\nRUN x\n', { A: 'b' }, [], []],
    ['a global ARG that the stage does not declare', 'ARG A=g\nFROM base\nRUN x\n', {}, [], []],
    ['a global ARG that the stage declares', 'ARG A=g\nFROM base\nARG A\nRUN x\n', {}, ['A=g'], []],
    [
      'the default of the stage before the global one',
      'ARG A=g\nFROM base\nARG A=s\nRUN x\n',
      {},
      ['A=s'],
      [],
    ],
    [
      'a build argument before every default',
      'ARG A=g\nFROM base\nARG A=s\nRUN x\n',
      { A: 'b' },
      ['A=b'],
      [],
    ],
    ['a default made of another ARG', 'FROM base\nARG A=1\nARG B=$A$A\nRUN x\n', {}, ['A=1', 'B=11'], []],
    ['an ARG twice', 'FROM base\nARG A=1\nARG A=2\nRUN x\n', {}, ['A=2'], []],
    ['an ARG after the RUN', 'FROM base\nRUN x\nARG A=1\n', {}, [], []],
    [
      'old values within one ENV',
      'FROM base\nENV a=1\nENV a=2 b=$a\nRUN x\n',
      {},
      ['a=2', 'b=1'],
      ['a=2', 'b=1'],
    ],
    [
      'a default that is overridden and malformed',
      'FROM base\nARG A=${B:?no}\nRUN x\n',
      { A: 'b' },
      ['A=b'],
      [],
    ],
    [
      'names of Object.prototype',
      'FROM base\nARG constructor\nARG toString=t\nRUN x\n',
      {},
      ['toString=t'],
      [],
    ],
    ['an ARG of another stage', 'FROM base AS a\nARG A=1\nFROM base\nRUN x\n', {}, [], []],
    ['an ARG of the base stage', 'FROM base AS a\nARG A=1\nFROM a\nRUN x\n', {}, ['A=1'], []],
    [
      'an ENV of the base stage',
      'FROM base AS a\nENV A=1\nFROM a\nENV B=$A\nRUN x\n',
      {},
      ['A=1', 'B=1'],
      ['A=1', 'B=1'],
    ],
    ['a global ARG made of a platform', 'ARG A=$TARGETARCH\nFROM base\nARG A\nRUN x\n', {}, ['A=amd64'], []],
    ['a platform argument that is not declared', 'FROM base\nENV A=$TARGETARCH\nRUN x\n', {}, ['A='], ['A=']],
    [
      'a platform argument overridden',
      'FROM base\nARG TARGETARCH\nRUN x\n',
      { TARGETARCH: 'x' },
      ['TARGETARCH=x'],
      [],
    ],
    [
      'the name of the target stage',
      'FROM base AS Last\nARG TARGETSTAGE\nRUN x\n',
      {},
      ['TARGETSTAGE=last'],
      [],
    ],
    [
      'the name of a target without one',
      'FROM base\nARG TARGETSTAGE\nRUN x\n',
      {},
      ['TARGETSTAGE=default'],
      [],
    ],
    [
      'quotes and escapes',
      'FROM base\nENV A="x y" B=\'$A\' C=\\$A\nRUN x\n',
      {},
      ['A=x y', 'B=$A', 'C=$A'],
      ['A=x y', 'B=$A', 'C=$A'],
    ],
  ] as const)('%s', async (_, text, buildArgs, run, image) => {
    const found = await environments(text, buildArgs)
    expect(found.run).toEqual(run)
    expect(found.image).toEqual(image)
  })

  it('toGraph() says which variables of a RUN are build arguments, those of stages below with them', async () => {
    const text = 'FROM base AS a\nARG LOW=1\nENV E=1\nFROM a\nARG HIGH\nRUN x\n'
    const { result } = await environments(text)
    expect(execsOf(result).at(-1)?.argNames).toEqual(['LOW', 'HIGH'])
  })

  it('toGraph() gives the environment of the base, changed in place', async () => {
    const { run, image } = await environments('FROM base\nENV B=2 A=9\nRUN x\n', {}, ['A=1', 'Z=z'])
    expect(run).toEqual(['A=9', 'Z=z', 'B=2'])
    expect(image).toEqual(run)
  })

  it('toGraph() gives all platform arguments to FROM and to a stage that declares them', async () => {
    const names = ['PLATFORM', 'OS', 'ARCH', 'VARIANT', 'OSVERSION']
    const args = ['TARGET', 'BUILD'].flatMap((prefix) => names.map((name) => `${prefix}${name}`))
    const text = `FROM img-$TARGETARCH$TARGETVARIANT-$BUILDOS\nARG ${args.join(' ')}\nRUN x\n`
    const result = await convertText(text, {
      platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
      images: { 'img-armv7-linux': {} },
    })
    expect(execsOf(result)[0]?.env.filter((entry) => !entry.startsWith('PATH='))).toEqual([
      'TARGETPLATFORM=linux/arm/v7',
      'TARGETOS=linux',
      'TARGETARCH=arm',
      'TARGETVARIANT=v7',
      'TARGETOSVERSION=',
      'BUILDPLATFORM=linux/amd64',
      'BUILDOS=linux',
      'BUILDARCH=amd64',
      'BUILDVARIANT=',
      'BUILDOSVERSION=',
    ])
  })

  it('toGraph() lets later global ARGs use earlier ones and build arguments', async () => {
    const text = 'ARG TAG=1\nARG NAME=img:$TAG\nFROM $NAME\nRUN x\n'
    expect((await convertText(text, { images: { 'img:1': {} } })).requests).toEqual(['img:1 linux/amd64'])
    const given = await convertText(text, { images: { 'img:2': {} }, buildArgs: { TAG: '2' } })
    expect(given.requests).toEqual(['img:2 linux/amd64'])
  })

  it.each([['scratch'], ['base']])(
    'toGraph() gives a PATH over %s without one, also to ENV',
    async (from) => {
      const result = await convertText(`FROM ${from}\nENV PATH=/opt/bin:$PATH\nRUN x\n`)
      expect(execsOf(result)[0]?.env).toEqual([path.replace('=', '=/opt/bin:')])
      expect(result.image.config.env).toEqual([path.replace('=', '=/opt/bin:')])
      const untouched = await convertText(`FROM ${from}\nRUN x\n`)
      expect(execsOf(untouched)[0]?.env).toEqual([path])
      expect(untouched.image.config.env).toEqual([path])
    },
  )

  it('toGraph() keeps the PATH of the base', async () => {
    const result = await convertText('FROM own\nRUN x\n', {
      images: { own: { config: { env: ['PATH=/p'] } } },
    })
    expect(execsOf(result)[0]?.env).toEqual(['PATH=/p'])
    expect(result.image.config.env).toEqual(['PATH=/p'])
  })
})

describe('toGraph() and predefined build arguments', () => {
  const buildArgs = { HTTP_PROXY: 'http://proxy.test', no_proxy: 'localhost' }

  it('toGraph() keeps proxies out of keys, history and image, and gives both cases of their names', async () => {
    const text = 'FROM base\nENV A=$HTTP_PROXY\nRUN x\n'
    const plain = await convertText(text)
    const proxied = await convertText(text, { buildArgs })
    expect(proxied.graph).toEqual(plain.graph)
    expect(proxied.image).toEqual(plain.image)
    expect(proxied.proxyEnv).toEqual([
      'HTTP_PROXY=http://proxy.test',
      'http_proxy=http://proxy.test',
      'NO_PROXY=localhost',
      'no_proxy=localhost',
    ])
    expect(proxied.warnings).toEqual([])
  })

  it('toGraph() treats a declared proxy as any ARG in its stage, and still gives it to the other stages', async () => {
    const text = 'FROM base AS a\nARG HTTP_PROXY\nRUN 1\nFROM base\nRUN 2\nCOPY --from=a /a /\n'
    const result = await convertText(text, { buildArgs })
    const [second, first] = execsOf(result)
    expect(first?.env).toContain('HTTP_PROXY=http://proxy.test')
    expect(second?.env).toEqual([path])
    expect(result.proxyEnv).toContain('HTTP_PROXY=http://proxy.test')
  })

  it('toGraph() warns of a build argument that nothing declares, and proposes a name', async () => {
    const { warnings } = await convertText('FROM base\nARG VERSION\n', { buildArgs: { VERSOIN: '1' } })
    expect(warnings).toEqual([
      {
        rule: 'UnusedBuildArg',
        message: 'The build argument "VERSOIN" is not declared by any ARG. Did you mean `VERSION`?',
        source: null,
      },
    ])
  })

  it.each([
    ['an ARG of a stage that is not built', 'FROM base AS other\nARG A\nFROM base\n', { A: '1' }],
    ['a global ARG', 'ARG A\nFROM base\n', { A: '1' }],
    ['an ARG of a trigger', 'FROM trigger\n', { T: '1' }],
    ['a platform argument', 'FROM base\n', { TARGETPLATFORM: 'linux/arm64' }],
    ['an argument for the builder', 'FROM base\n', { BUILDKIT_INLINE_CACHE: '1', SOURCE_DATE_EPOCH: '0' }],
  ] as const)('toGraph() does not warn of %s', async (_, text, args) => {
    const images = { trigger: { config: { onBuild: ['ARG T'] } } }
    expect((await convertText(text, { buildArgs: args, images })).warnings).toEqual([])
  })

  it.each([['BUILDVERSION'], ['TARGETS'], ['Http_Proxy']])(
    'toGraph() warns of %s, which only looks predefined',
    async (name) => {
      expect((await convertText('FROM base\n', { buildArgs: { [name]: '1' } })).warnings).toHaveLength(1)
    },
  )

  it('toGraph() writes the arguments in use into the history of RUN, each once with what RUN sees', async () => {
    const text = 'FROM base\nARG A=1\nARG B\nARG A=2\nRUN x\nENV A=3\nRUN y\n'
    expect(historyOf(await convertText(text))).toEqual([
      '- ARG A=1',
      '- ARG B',
      '- ARG A=2',
      'RUN |2 A=2 B= /bin/sh -c x # buildkit',
      '- ENV A=3',
      'RUN |2 A=3 B= /bin/sh -c y # buildkit',
    ])
  })
})
