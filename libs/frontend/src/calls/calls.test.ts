// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are substitutions of a Dockerfile
import { digestBytes } from '@tsbuild/digest'
import { parseDockerfile } from '@tsbuild/dockerfile'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { contextOf } from '../testing/convert-text.ts'
import type { FrontendOptions, ImageResolver } from '../types.ts'
import { checkDockerfile } from './check.ts'
import { outlineOf } from './outline.ts'
import { targetsOf } from './targets.ts'

const linux = { os: 'linux', architecture: 'amd64' }

/** Knows `base`; `gone` does not exist; the registry of everything else cannot be reached. */
const resolveImage: ImageResolver = async (reference, platform) => {
  if (reference === 'gone') throw new UserError('ERR_IMAGE_NOT_FOUND', 'Cannot find image "gone"')
  if (reference !== 'base') {
    throw new EnvironmentError('ERR_REGISTRY_UNREACHABLE', `Cannot reach the registry of "${reference}"`)
  }
  const config = { env: ['FROM_BASE=1'] }
  const image = { platform, config, diffIds: [], history: [] }
  return {
    reference: 'docker.io/library/base:latest',
    manifest: digestBytes('base'),
    layers: [],
    config: image,
  }
}

function options(text: string, more: Partial<FrontendOptions> = {}): FrontendOptions {
  return {
    dockerfile: parseDockerfile(text, 'Dockerfile'),
    target: undefined,
    buildArgs: {},
    labels: {},
    platform: linux,
    buildPlatform: linux,
    isOneOfSeveral: false,
    noCache: false,
    network: 'default',
    extraHosts: [],
    allow: [],
    ulimits: [],
    shmSizeBytes: undefined,
    cgroupParent: undefined,
    namedContexts: new Map(),
    context: contextOf(),
    resolveImage,
    warn: () => {
      throw new TypeError('a check tells its findings at its end')
    },
    ...more,
  }
}

async function rules(text: string, more?: Partial<FrontendOptions>): Promise<readonly string[]> {
  const { warnings } = await checkDockerfile(options(text, more))
  return warnings.map(({ rule, source }) => `${rule}:${source?.startLine}`)
}

describe('checkDockerfile()', () => {
  it('looks at all stages where no target is given, else at those that the target needs', async () => {
    const text = 'FROM scratch AS One\nLABEL a=$A\nFROM base\nWORKDIR x'
    expect(await rules(text)).toEqual(['StageNameCasing:1', 'UndefinedVar:2', 'WorkdirRelativePath:4'])
    expect(await rules(text, { target: 'one' })).toEqual(['StageNameCasing:1', 'UndefinedVar:2'])
  })

  it('finds what .dockerignore hides: CopyIgnoredFile', async () => {
    const context = contextOf({ hiddenBy: async (path) => (path === 'x' ? '.dockerignore:1' : undefined) })
    expect(await rules('FROM base\nCOPY y x /\nADD x /', { context })).toEqual([
      'CopyIgnoredFile:2',
      'CopyIgnoredFile:3',
    ])
  })

  it('goes on over a base whose registry cannot be reached, says so once and skips the rules below it', async () => {
    const text =
      'FROM far:1 AS a\nLABEL a=$MAYBE\nWORKDIR $HOME\nFROM a\nLABEL b=$MAYBE\nFROM far:1\nENV a b\nWORKDIR c'
    const { warnings, error, unresolved } = await checkDockerfile(options(text))
    expect(error).toBeUndefined()
    expect(unresolved).toMatchObject([{ reference: 'far:1', reason: { code: 'ERR_REGISTRY_UNREACHABLE' } }])
    expect(warnings.map(({ rule }) => rule)).toEqual(['LegacyKeyValueFormat', 'WorkdirRelativePath'])
  })

  it('gives the first error of the file beside the warnings, and goes on behind it', async () => {
    const text = 'FROM gone AS a\nLABEL x=$\nFROM base\nLABEL b=${B?needed}\nLABEL c=$C'
    const { error, warnings, unresolved } = await checkDockerfile(options(text))
    expect(error).toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND', source: { startLine: 1 } })
    expect(warnings.map(({ rule, source }) => `${rule}:${source?.startLine}`)).toEqual(['UndefinedVar:5'])
    expect(unresolved).toEqual([])
  })

  it('does not fail by error=true: the caller sees what was found', async () => {
    expect(await rules('# check=error=true\nFROM scratch AS A')).toEqual(['StageNameCasing:2'])
  })

  it('refuses check options that are malformed, and a target that does not exist', async () => {
    await expect(rules('# check=nonsense\nFROM scratch')).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_SYNTAX',
    })
    await expect(rules('FROM scratch', { target: 'x' })).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_STAGE_NOT_FOUND',
    })
  })

  it('asks for all images at once, and for each once', async () => {
    const asked: string[] = []
    const waiting: (() => void)[] = []
    const slow: ImageResolver = (reference, platform) => {
      asked.push(reference)
      // Nobody is answered before all have asked.
      return new Promise((resolve) => {
        waiting.push(() => resolve(resolveImage('base', platform)))
        if (waiting.length === 3) for (const answer of waiting) answer()
      })
    }
    const text = 'FROM a\nFROM b AS two\nFROM a\nCOPY --from=c / /\nFROM two'
    expect(await rules(text, { resolveImage: slow })).toEqual([])
    expect(asked.toSorted()).toEqual(['a', 'b', 'c'])
  })

  it('needs no entitlement: nothing runs', async () => {
    const text = 'FROM base\nRUN --network=host x\nRUN --security=insecure x'
    expect(await checkDockerfile(options(text))).toMatchObject({ warnings: [], error: undefined })
  })

  it('tells a mount that is wrong, and one of an image that does not exist', async () => {
    const text = (mount: string) => `FROM base\nRUN --mount=${mount} x`
    expect((await checkDockerfile(options(text('type=tmpf,target=/t')))).error).toMatchObject({
      code: 'ERR_DOCKERFILE_MOUNT_OPTION',
      source: { startLine: 2 },
    })
    expect((await checkDockerfile(options(text('from=gone,target=/t')))).error).toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      source: { startLine: 2 },
    })
    expect((await checkDockerfile(options(text('from=far,target=/t')))).unresolved).toMatchObject([
      { reference: 'far' },
    ])
  })

  it('looks at the stages that mounts need', async () => {
    const text = 'FROM scratch AS One\nFROM base\nRUN --mount=from=one,target=/o x'
    expect(await rules(text, { target: '1' })).toEqual(['StageNameCasing:1'])
  })

  it('does not tolerate that it is cancelled', async () => {
    const cancelled: ImageResolver = async () => {
      throw new UserError('ERR_CANCELLED', 'The build was cancelled')
    }
    await expect(rules('FROM base', { resolveImage: cancelled })).rejects.toMatchObject({
      code: 'ERR_CANCELLED',
    })
  })
})

describe('outlineOf()', () => {
  const text = [
    '# VERSION of the program',
    'ARG VERSION=1.0',
    'ARG UNUSED=x',
    'ARG IMAGE=base',
    'FROM $IMAGE AS build',
    'ARG VERSION',
    'ARG NAME=app-$VERSION FLAG',
    'RUN --mount=type=secret,id=token --mount=type=ssh make',
    'RUN --mount=type=secret,id=token,required=true --mount=type=secret,target=/x/other make',
    'FROM scratch AS elsewhere',
    'ARG NOT_HERE=1',
    '# release builds the image',
    'FROM scratch AS release',
    'ARG TARGETARCH',
    'COPY --from=build /x /',
  ].join('\n')

  it('lists args with value, default and description, secrets and ssh with required', async () => {
    const outline = await outlineOf(options(text, { buildArgs: { VERSION: '2.0' } }))
    const source = (startLine: number) => expect.objectContaining({ startLine })
    expect(outline).toEqual({
      name: 'release',
      description: 'builds the image',
      args: [
        { name: 'VERSION', description: 'of the program', default: '1.0', value: '2.0', source: source(2) },
        { name: 'IMAGE', description: undefined, default: 'base', value: 'base', source: source(4) },
        {
          name: 'NAME',
          description: undefined,
          default: 'app-$VERSION',
          value: 'app-2.0',
          source: source(7),
        },
        { name: 'FLAG', description: undefined, default: undefined, value: undefined, source: source(7) },
        {
          name: 'TARGETARCH',
          description: undefined,
          default: undefined,
          value: 'amd64',
          source: source(14),
        },
      ],
      secrets: [
        { id: 'token', required: true, source: source(8) },
        { id: 'other', required: false, source: source(9) },
      ],
      ssh: [{ id: 'default', required: false, source: source(8) }],
    })
  })

  it('is that of the target', async () => {
    const outline = await outlineOf(options(text, { target: 'elsewhere' }))
    expect(outline).toMatchObject({ name: 'elsewhere', args: [{ name: 'NOT_HERE' }], secrets: [], ssh: [] })
  })

  it('needs no registry', async () => {
    const outline = await outlineOf(options('FROM far\nARG A=1'))
    expect(outline.args).toMatchObject([{ name: 'A', value: '1' }])
  })
})

describe('targetsOf()', () => {
  const text =
    'ARG V=1\nFROM base:$V AS a\n# b is last\nFROM --platform=$BUILDPLATFORM a AS b\n# c comes after\nFROM $X'

  it('lists stages with base, description and the default', () => {
    expect(targetsOf(options(text))).toMatchObject([
      { index: 0, name: 'a', base: 'base:1', platform: undefined, description: undefined, default: false },
      { index: 1, name: 'b', base: 'a', platform: 'linux/amd64', description: 'is last', default: false },
      { index: 2, name: undefined, base: '$X', description: undefined, default: true },
    ])
  })

  it('takes the given target for the default', () => {
    const targets = targetsOf(options(text, { target: '0', buildArgs: { V: '2' } }))
    expect(targets.map((target) => target.default)).toEqual([true, false, false])
    expect(targets[0]?.base).toBe('base:2')
  })
})
