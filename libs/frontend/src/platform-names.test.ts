import { describe, expect, it } from 'vitest'
import { convertText, namesOf } from './testing/convert-text.ts'

const arm64 = { os: 'linux', architecture: 'arm64' }
const arm = { os: 'linux', architecture: 'arm', variant: 'v7' }

const names = async (lines: readonly string[], options: Parameters<typeof convertText>[1] = {}) =>
  namesOf(await convertText(lines.join('\n'), { isOneOfSeveral: true, ...options })).filter((name) =>
    /RUN|COPY|WORKDIR|FROM/.test(name),
  )

describe('toGraph() of one of several images', () => {
  it('puts the platform before the name of each step', async () => {
    const lines = ['FROM base', 'WORKDIR /w', 'COPY a /', 'RUN true']
    expect(await names(lines, { platform: arm })).toEqual([
      expect.stringMatching(/^\[linux\/arm\/v7 1\/4\] FROM /),
      '[linux/arm/v7 2/4] WORKDIR /w',
      '[linux/arm/v7 3/4] COPY a /',
      '[linux/arm/v7 4/4] RUN true',
    ])
    const alone = await names(lines, { platform: arm, isOneOfSeveral: false })
    expect(alone.at(-1)).toBe('[4/4] RUN true')
  })

  it.each([
    ['TARGETARCH', arm64, 'linux/amd64->arm64'],
    ['TARGETPLATFORM', arm64, 'linux/amd64->arm64'],
    ['TARGETPLATFORM', arm, 'linux/amd64->arm/v7'],
    ['TARGETARCH TARGETVARIANT', arm, 'linux/amd64->arm/v7'],
    ['TARGETOS', arm64, 'linux/amd64'],
    ['BUILDARCH', arm64, 'linux/amd64'],
    ['TARGETARCH', undefined, 'linux/amd64'],
  ])('says with ARG %s what a step on another platform makes', async (declared, platform, expected) => {
    const lines = [
      'FROM --platform=$BUILDPLATFORM base AS build',
      'RUN before',
      `ARG ${declared}`,
      'RUN after',
    ]
    const [, before, after] = await names(lines, platform === undefined ? {} : { platform })
    expect(before).toBe('[linux/amd64 build 2/3] RUN before')
    expect(after).toBe(`[${expected} build 3/3] RUN after`)
  })

  it('takes any value of such a variable', async () => {
    const lines = ['FROM base', 'ARG TARGETPLATFORM', 'RUN true']
    const [, run] = await names(lines, { buildArgs: { TARGETPLATFORM: '../..' } })
    expect(run).toBe('[linux/amd64 2/2] RUN true')
  })

  it('makes one step of what runs on one platform for all', async () => {
    const lines = [
      'FROM --platform=$BUILDPLATFORM base AS build',
      'RUN common',
      'FROM base',
      'COPY --from=build /a /',
    ]
    const [first, second] = await Promise.all(
      [arm64, arm].map(
        async (platform) => (await convertText(lines.join('\n'), { isOneOfSeveral: true, platform })).graph,
      ),
    )
    const digests = new Set(second?.vertices.map(({ digest }) => digest))
    const shared = first?.vertices.filter(({ digest }) => digests.has(digest)).map(({ name }) => name)
    expect(shared).toEqual([expect.stringContaining('FROM'), '[linux/amd64 build 2/2] RUN common'])
  })
})
