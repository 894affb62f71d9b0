import { describe, expect, it } from 'vitest'
import { convertText, execsOf, filesOf, historyOf, namesOf } from './testing/convert-text.ts'

const config = async (text: string, base = {}) =>
  (await convertText(text, { images: { base: { config: base } } })).image.config

describe('toGraph() and the image config', () => {
  it('toGraph() keeps what the base says and no trigger of it', async () => {
    const base = {
      user: 'u',
      workingDir: '/w',
      shell: ['/bin/bash', '-c'],
      labels: { a: '1' },
      cmd: ['c'],
      entrypoint: ['e'],
      exposedPorts: ['1/tcp'],
      volumes: ['/v'],
      stopSignal: 'SIGINT',
      env: ['PATH=/p', 'A=1'],
      healthcheck: { test: ['NONE'] },
      onBuild: ['ENV T=1'],
    }
    const { onBuild: _, ...kept } = base
    expect(await config('FROM base\n', base)).toEqual({
      ...kept,
      env: [...base.env, 'T=1'],
      onBuild: undefined,
    })
  })

  it('toGraph() takes the author of the base, and MAINTAINER before it', async () => {
    const images = { old: { author: 'a', created: '2020-01-01T00:00:00Z' } }
    const { image } = await convertText('FROM old\n', { images })
    expect([image.author, image.baseCreated]).toEqual(['a', '2020-01-01T00:00:00Z'])
    expect((await convertText('FROM old\nMAINTAINER b\n', { images })).image.author).toBe('b')
  })

  it.each([
    ['ENTRYPOINT drops the CMD of the base', 'FROM base\nENTRYPOINT ["e"]\n', ['e'], undefined],
    ['ENTRYPOINT keeps a CMD before it', 'FROM base\nCMD ["c"]\nENTRYPOINT ["e"]\n', ['e'], ['c']],
    ['CMD keeps the ENTRYPOINT of the base', 'FROM base\nCMD ["c"]\n', ['old'], ['c']],
    [
      'ENTRYPOINT drops the CMD of a base stage',
      'FROM base AS s\nCMD ["c"]\nFROM s\nENTRYPOINT ["e"]\n',
      ['e'],
      undefined,
    ],
    ['an empty ENTRYPOINT', 'FROM base\nENTRYPOINT []\n', [], undefined],
    ['shell forms', 'FROM base\nENTRYPOINT e $A\nCMD c\n', ['/bin/sh', '-c', 'e $A'], ['/bin/sh', '-c', 'c']],
    ['the shell of the stage', 'FROM base\nSHELL ["/b", "-x"]\nCMD c\n', ['old'], ['/b', '-x', 'c']],
    ['the last CMD', 'FROM base\nCMD ["a"]\nCMD ["b"]\n', ['old'], ['b']],
  ] as const)('%s', async (_, text, entrypoint, cmd) => {
    const made = await config(text, { entrypoint: ['old'], cmd: ['old'] })
    expect([made.entrypoint, made.cmd]).toEqual([entrypoint, cmd])
  })

  it('toGraph() puts SHELL into the config and uses it for RUN from there on, also in a stage upon it', async () => {
    const text = 'FROM base AS a\nRUN 1\nSHELL ["/b", "-c"]\nRUN 2\nFROM a\nRUN 3\n'
    const result = await convertText(text)
    expect(execsOf(result).map(({ args }) => args)).toEqual([
      ['/bin/sh', '-c', '1'],
      ['/b', '-c', '2'],
      ['/b', '-c', '3'],
    ])
    expect(result.image.config.shell).toEqual(['/b', '-c'])
  })

  it('toGraph() expands labels and puts those of the command line last', async () => {
    const text = 'FROM base\nARG V=1\nLABEL a=$V "k$V"="x y" __proto__=p\n'
    const { image } = await convertText(text, {
      images: { base: { config: { labels: { a: '0', b: '0' } } } },
      labels: { b: 'flag', z: 'flag' },
    })
    expect(Object.entries(image.config.labels ?? {})).toEqual([
      ['a', '1'],
      ['b', 'flag'],
      ['k1', 'x y'],
      ['__proto__', 'p'],
      ['z', 'flag'],
    ])
    expect((await convertText('FROM base\n')).image.config.labels).toBeUndefined()
  })

  it('toGraph() adds ports, volumes and times', async () => {
    const text = [
      'FROM base',
      'ARG P="81 80/UDP"',
      'EXPOSE $P 90-91',
      'VOLUME /a ["x"',
      'VOLUME ["/v", "/b c"]',
      'STOPSIGNAL 9',
      'USER app:$P',
      'HEALTHCHECK --interval=2s --retries=3 CMD curl $X',
    ]
    const made = await config(text.join('\n'), { exposedPorts: ['1/tcp'], volumes: ['/v'] })
    expect(made).toMatchObject({
      exposedPorts: ['1/tcp', '80/udp', '81/tcp', '90/tcp', '91/tcp'],
      volumes: ['/v', '/a', '[x', '/b c'],
      stopSignal: '9',
      user: 'app:81 80/UDP',
      healthcheck: {
        test: ['CMD-SHELL', 'curl $X'],
        intervalNs: 2_000_000_000,
        timeoutNs: undefined,
        startPeriodNs: undefined,
        startIntervalNs: undefined,
        retries: 3,
      },
    })
    expect((await config('FROM base\nHEALTHCHECK CMD ["x"]\n')).healthcheck?.test).toEqual(['CMD', 'x'])
    expect((await config('FROM base\nHEALTHCHECK NONE\n')).healthcheck).toEqual({ test: ['NONE'] })
  })
})

describe('toGraph() and WORKDIR', () => {
  it.each([
    ['WORKDIR /a', '/a'],
    ['WORKDIR a', '/w/a'],
    ['WORKDIR ../b/./c/', '/b/c'],
    ['WORKDIR /a\nWORKDIR b\nWORKDIR ..', '/a'],
    ['ARG D=/x\nWORKDIR $D/y', '/x/y'],
    ['WORKDIR /../../e', '/e'],
  ])('%s', async (text, workingDir) => {
    expect((await config(`FROM base\n${text}\n`, { workingDir: '/w' })).workingDir).toBe(workingDir)
  })

  it('toGraph() makes the directory of the current user, and no step for the root directory', async () => {
    const result = await convertText('FROM base\nWORKDIR /a\nUSER app\nWORKDIR b\nRUN x\nWORKDIR /\nRUN y\n')
    expect(filesOf(result).flatMap(({ actions }) => actions)).toEqual([
      { kind: 'mkdir', path: '/a', mode: 0o755, owner: undefined },
      { kind: 'mkdir', path: '/a/b', mode: 0o755, owner: 'app' },
    ])
    expect(execsOf(result).map(({ cwd, user }) => [cwd, user])).toEqual([
      ['/a/b', 'app'],
      ['/', 'app'],
    ])
    expect(namesOf(result).slice(1)).toEqual([
      '[2/6] WORKDIR /a',
      '[3/6] WORKDIR /a/b',
      '[4/6] RUN x',
      '[6/6] RUN y',
    ])
    expect(historyOf(result)).toContain('- WORKDIR /')
  })

  it.each([[undefined], ['']])(
    'toGraph() works in the root directory when the base says %j',
    async (workingDir) => {
      const result = await convertText('FROM base\nRUN x\n', { images: { base: { config: { workingDir } } } })
      expect([execsOf(result)[0]?.cwd, result.image.config.workingDir]).toEqual(['/', '/'])
    },
  )
})

describe('toGraph() and history', () => {
  it('toGraph() writes one entry for each instruction and says which have a layer', async () => {
    const text = [
      'FROM base AS a',
      'ARG A=1',
      'ENV E="x y"',
      'LABEL l=$A',
      'USER u',
      'FROM a',
      'SHELL ["/b", "-c"]',
      'EXPOSE 81 80',
      'VOLUME /v /w',
      'STOPSIGNAL 9',
      'HEALTHCHECK NONE',
      'ONBUILD RUN t',
      'MAINTAINER m',
      'CMD run "it"',
      'ENTRYPOINT ["/e", "é"]',
      'WORKDIR /d',
      'RUN make',
      'RUN ["/m"]',
      'COPY --chown=$A:2 --chmod=755 a b ./c/',
      'ADD x /',
    ]
    expect(historyOf(await convertText(text.join('\n')))).toEqual([
      '- ARG A=1',
      '- ENV E=x y',
      '- LABEL l=1',
      '- USER u',
      '- SHELL [/b -c]',
      '- EXPOSE [80/tcp 81/tcp]',
      '- VOLUME [/v /w]',
      '- STOPSIGNAL 9',
      '- HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}',
      '- ONBUILD RUN t',
      '- MAINTAINER m',
      '- CMD ["/b" "-c" "run \\"it\\""]',
      '- ENTRYPOINT ["/e" "é"]',
      'WORKDIR /d',
      'RUN |1 A=1 /b -c make # buildkit',
      'RUN |1 A=1 /m # buildkit',
      'COPY --chown=1:2 --chmod=755 a b ./c/ # buildkit',
      'ADD x / # buildkit',
    ])
  })

  it('toGraph() has as many entries with a layer as the graph has layers', async () => {
    const result = await convertText(
      'FROM base\nRUN 1\nENV a=1\nCOPY a /\nWORKDIR /\nWORKDIR /x\nCOPY <<f /\nf\n',
    )
    const steps = result.graph.vertices.filter(({ op }) => op.kind === 'exec' || op.kind === 'file')
    expect(result.image.history.filter(({ emptyLayer }) => !emptyLayer)).toHaveLength(steps.length)
  })

  it.each([
    [
      'as it is',
      2,
      [{ createdBy: 'a' }, { createdBy: 'e', emptyLayer: true }, { createdBy: 'b' }],
      ['a', 'e', 'b'],
    ],
    ['with entries that lack', 3, [{ createdBy: 'a' }], ['a', undefined, undefined]],
    ['anew where it has too many', 1, [{ createdBy: 'a' }, { createdBy: 'b' }], [undefined]],
  ] as const)('toGraph() gives the history of the base %s', async (_, layers, history, expected) => {
    const images = { old: { layers, history } }
    const { baseHistory } = (await convertText('FROM old AS a\nFROM a\n', { images })).image
    expect(baseHistory.map(({ createdBy }) => createdBy)).toEqual(expected)
    expect(baseHistory.filter(({ emptyLayer }) => emptyLayer !== true)).toHaveLength(layers)
  })
})

describe('toGraph() and triggers', () => {
  it('toGraph() runs the triggers of a base image first, with its own arguments and copies', async () => {
    const images = {
      base: { config: { onBuild: ['ARG V=1', 'RUN t $V', 'COPY --from=tools /t /t', 'CMD c'] } },
      tools: {},
    }
    const result = await convertText('FROM base\nRUN own\n', { images })
    expect(namesOf(result).filter((name) => !name.includes('FROM'))).toEqual([
      '[2/4] RUN t $V',
      '[3/4] COPY --from=tools /t /t',
      '[4/4] RUN own',
    ])
    expect(execsOf(result)[0]?.env).toContain('V=1')
    expect(result.image.config.cmd).toEqual(['/bin/sh', '-c', 'c'])
    expect(result.requests).toEqual(['base linux/amd64', 'tools linux/amd64'])
  })

  it('toGraph() runs the triggers of a stage in the stage upon it and nowhere else', async () => {
    const text = 'FROM base AS a\nONBUILD RUN t\nRUN a\nFROM a AS b\nRUN b\nFROM b AS c\nRUN c\n'
    const result = await convertText(text)
    expect(execsOf(result).map(({ args }) => args.at(-1))).toEqual(['a', 't', 'b', 'c'])
    expect(result.image.config.onBuild).toBeUndefined()
    expect((await convertText(text, { target: 'a' })).image.config.onBuild).toEqual(['RUN t'])
    expect((await convertText(text, { target: 'a' })).graph.vertices).toHaveLength(2)
  })

  it('toGraph() keeps the heredoc of a trigger', async () => {
    const result = await convertText('FROM base AS a\nONBUILD COPY <<f /x/\n$A\nf\nFROM a\n')
    expect(filesOf(result)[0]?.actions).toMatchObject([
      { kind: 'mkfile', name: 'f', dest: '/x/', content: '\n' },
    ])
  })
})
