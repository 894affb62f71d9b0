import { describe, expect, it } from 'vitest'
import { convertText, execsOf, filesOf, historyOf } from './testing/convert-text.ts'

const over = (config: object, extra = {}) => ({ images: { base: { config, ...extra } } })

/** Each row of the table of instructions. @see spec/dockerfile.md 1.2 */
describe('toGraph() and each instruction', () => {
  it('FROM takes variables of global ARGs and platform ARGs only', async () => {
    const text = 'ARG V=1\nFROM base AS a\nARG V=2 W=3\nFROM img:$V-$TARGETARCH$W\n'
    const { requests } = await convertText(text, { images: { 'img:1-amd64': {} } })
    expect(requests).toEqual(['img:1-amd64 linux/amd64'])
  })

  it('FROM names its stage in any case', async () => {
    const result = await convertText('FROM base AS My-Stage_1.x\nRUN a\nFROM MY-stage_1.X\nRUN b\n')
    expect(execsOf(result).map(({ args }) => args.at(-1))).toEqual(['a', 'b'])
  })

  it('FROM with a tag and a digest asks for both', async () => {
    const name = `img:1@sha256:${'0'.repeat(64)}`
    expect((await convertText(`FROM ${name}\n`, { images: { [name]: {} } })).requests).toEqual([
      `${name} linux/amd64`,
    ])
  })

  it('FROM keeps environment, user, directory, shell and labels of the base, and resets ONBUILD', async () => {
    const config = {
      env: ['PATH=/p', 'A=1'],
      user: 'u',
      workingDir: '/w',
      shell: ['/s'],
      labels: { l: '1' },
      cmd: ['c'],
      onBuild: ['ENV B=2'],
    }
    const { image } = await convertText('FROM base\n', over(config))
    expect(image.config).toEqual({ ...config, env: ['PATH=/p', 'A=1', 'B=2'], onBuild: undefined })
  })

  it('ARG declares several names in a line, each seeing those before it', async () => {
    const result = await convertText('FROM base\nARG A=1 B=$A C\nRUN x\n')
    expect(execsOf(result)[0]?.env.slice(1)).toEqual(['A=1', 'B=1'])
    expect(historyOf(result)).toEqual(['- ARG A=1 B=1 C', 'RUN |3 A=1 B=1 C= /bin/sh -c x # buildkit'])
  })

  it('ARG before the first FROM is not evaluated when it is overridden, and is an error when it is used', async () => {
    const text = 'ARG A=${B?no}\nFROM base\n'
    await expect(convertText(text)).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_EXPANSION',
      source: { startLine: 1 },
    })
    await expect(convertText(text, { buildArgs: { A: '1' } })).resolves.toBeDefined()
  })

  it('ENV against ARG of one name: the later line wins in RUN, the image keeps ENV', async () => {
    const result = await convertText('FROM base\nENV A=e\nARG A=a\nRUN 1\nENV A=f\nRUN 2\n')
    expect(execsOf(result).map(({ env }) => env.at(-1))).toEqual(['A=a', 'A=f'])
    expect(result.image.config.env?.at(-1)).toBe('A=f')
  })

  it('ENV of the form without "=" takes the rest of the line', async () => {
    const { image } = await convertText('FROM base\nENV A b  "c" d=e\n')
    expect(image.config.env?.at(-1)).toBe('A=b  c d=e')
  })

  it('LABEL expands key and value, and takes the old form', async () => {
    const { image } = await convertText('FROM base\nARG K=k\nLABEL $K=$K$K other="a b"\nLABEL old a b\n')
    expect(image.config.labels).toEqual({ k: 'kk', other: 'a b', old: 'a b' })
  })

  it('RUN is not expanded', async () => {
    const result = await convertText('FROM base\nENV A=1\nRUN echo $A ${A:-x}\nRUN ["$A"]\n')
    expect(execsOf(result).map(({ args }) => args.at(-1))).toEqual(['echo $A ${A:-x}', '$A'])
  })

  it('COPY of the JSON form takes names with blanks', async () => {
    const result = await convertText('FROM base\nCOPY ["a b", "c d/"]\n')
    expect(filesOf(result)[0]?.actions).toMatchObject([{ sources: ['a b'], dest: '/c d/' }])
  })

  it('ADD has neither --from nor --parents', async () => {
    for (const flag of ['--from=base', '--parents']) {
      await expect(convertText(`FROM base\nADD ${flag} a /\n`)).rejects.toMatchObject({
        code: 'ERR_DOCKERFILE_UNKNOWN_FLAG',
      })
    }
  })

  it.each([
    ['COPY', 'ERR_DOCKERFILE_SYNTAX'],
    ['COPY a', 'ERR_DOCKERFILE_SYNTAX'],
    ['COPY --checksum=sha256:0 a /', 'ERR_DOCKERFILE_UNKNOWN_FLAG'],
    ['COPY --unpack a /', 'ERR_DOCKERFILE_UNKNOWN_FLAG'],
    ['RUN --device=a x', 'ERR_DOCKERFILE_UNKNOWN_FLAG'],
  ])('%s is refused', async (line, code) => {
    await expect(convertText(`FROM base\n${line}\n`)).rejects.toMatchObject({
      code,
      source: { startLine: 2 },
    })
  })

  it('CMD: the last wins, an empty array is allowed, nothing is expanded', async () => {
    const { image } = await convertText('FROM base\nCMD a\nCMD []\n', over({ cmd: ['old'] }))
    expect(image.config.cmd).toEqual([])
    expect((await convertText('FROM base\nENV A=1\nCMD ["$A"]\n')).image.config.cmd).toEqual(['$A'])
  })

  it('ENTRYPOINT resets the CMD of the base, not that of its own stage', async () => {
    const base = over({ cmd: ['old'], entrypoint: ['e'] })
    expect((await convertText('FROM base\nENTRYPOINT ["n"]\n', base)).image.config.cmd).toBeUndefined()
    expect((await convertText('FROM base\nCMD ["c"]\nENTRYPOINT ["n"]\n', base)).image.config.cmd).toEqual([
      'c',
    ])
    expect((await convertText('FROM base\nENTRYPOINT []\n', base)).image.config).toMatchObject({
      entrypoint: [],
      cmd: undefined,
    })
  })

  it('ENTRYPOINT resets a CMD that a base stage of the file has set', async () => {
    const text = 'FROM base AS a\nCMD ["c"]\nFROM a\nENTRYPOINT ["e"]\n'
    expect((await convertText(text)).image.config.cmd).toBeUndefined()
  })

  it('EXPOSE takes ranges and protocols in lower case, and sorts its history', async () => {
    const result = await convertText('FROM base\nARG P="9 8/Udp"\nEXPOSE 7-8/TCP $P\n')
    expect(result.image.config.exposedPorts).toEqual(['7/tcp', '8/tcp', '8/udp', '9/tcp'])
    expect(historyOf(result).at(-1)).toBe('- EXPOSE [7/tcp 8/tcp 8/udp 9/tcp]')
  })

  it('VOLUME is stored as written, and no empty one is', async () => {
    const { image } = await convertText('FROM base\nENV V=/v\nVOLUME $V rel ["x"\nVOLUME ["/a b"]\n')
    expect(image.config.volumes).toEqual(['/v', 'rel', '[x', '/a b'])
    await expect(convertText('FROM base\nVOLUME [""]\n')).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_SYNTAX',
    })
  })

  it('USER is stored as it is, expanded', async () => {
    const result = await convertText('FROM base\nARG U=app\nUSER $U:0\nRUN x\n')
    expect(execsOf(result)[0]?.user).toBe('app:0')
    expect(result.image.config.user).toBe('app:0')
  })

  it('WORKDIR makes a layer, 0755 and of the current user, unless it is /', async () => {
    const result = await convertText('FROM base\nUSER app\nWORKDIR a\nWORKDIR b\nWORKDIR /\n')
    expect(filesOf(result).flatMap(({ actions }) => actions)).toEqual([
      { kind: 'mkdir', path: '/a', mode: 0o755, owner: 'app', mtime: undefined },
      { kind: 'mkdir', path: '/a/b', mode: 0o755, owner: 'app', mtime: undefined },
    ])
    expect(historyOf(result)).toEqual(['- USER app', 'WORKDIR /a', 'WORKDIR /a/b', '- WORKDIR /'])
  })

  it('SHELL is used by RUN, CMD, ENTRYPOINT and is stored; HEALTHCHECK keeps CMD-SHELL', async () => {
    const text = 'FROM base\nSHELL ["/s", "-x"]\nRUN r\nCMD c\nENTRYPOINT e\nHEALTHCHECK CMD h\n'
    const result = await convertText(text)
    expect(execsOf(result)[0]?.args).toEqual(['/s', '-x', 'r'])
    expect(result.image.config).toMatchObject({
      shell: ['/s', '-x'],
      cmd: ['/s', '-x', 'c'],
      entrypoint: ['/s', '-x', 'e'],
      healthcheck: { test: ['CMD-SHELL', 'h'] },
    })
  })

  it('SHELL of the base image is inherited', async () => {
    const result = await convertText('FROM base\nRUN r\n', over({ shell: ['/s'] }))
    expect(execsOf(result)[0]?.args).toEqual(['/s', 'r'])
  })

  it('STOPSIGNAL is validated after it is expanded', async () => {
    const text = (signal: string) => `FROM base\nARG S=${signal}\nSTOPSIGNAL $S\n`
    expect((await convertText(text('SIGRTMIN+3'))).image.config.stopSignal).toBe('SIGRTMIN+3')
    await expect(convertText(text('SIGNOPE'))).rejects.toMatchObject({ source: { startLine: 3 } })
  })

  it('HEALTHCHECK: the last wins, NONE switches off, 0 inherits', async () => {
    const text =
      'FROM base\nHEALTHCHECK NONE\nHEALTHCHECK --interval=1m30s --timeout=1500ms --start-interval=0s --start-period=2h --retries=4 CMD ["a", "b"]\n'
    const result = await convertText(text)
    expect(result.image.config.healthcheck).toEqual({
      test: ['CMD', 'a', 'b'],
      intervalNs: 90e9,
      timeoutNs: 1.5e9,
      startPeriodNs: 7200e9,
      startIntervalNs: undefined,
      retries: 4,
    })
    expect(historyOf(result)).toEqual([
      '- HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}',
      '- HEALTHCHECK {Test:[CMD a b] Interval:1m30s Timeout:1.5s StartPeriod:2h0m0s StartInterval:0s Retries:4}',
    ])
  })

  it.each([
    ['1ms', '1ms'],
    ['1500us', '1.5ms'],
    ['59.9s', '59.9s'],
    ['61s', '1m1s'],
    ['3600500ms', '1h0m0.5s'],
  ])('HEALTHCHECK --interval=%s is %s in the history', async (written, shown) => {
    const result = await convertText(`FROM base\nHEALTHCHECK --interval=${written} CMD x\n`)
    expect(historyOf(result).at(-1)).toContain(` Interval:${shown} `)
  })

  it('MAINTAINER sets the author, the later one before the base', async () => {
    const { image } = await convertText('FROM base\nMAINTAINER A <a@b>\n', over({}, { author: 'old' }))
    expect(image.author).toBe('A <a@b>')
  })
})
