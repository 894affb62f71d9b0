import type { Digest } from '@tsbuild/digest'
import type { Instruction, Stage } from '@tsbuild/dockerfile'
import { isBuildError, redact } from '@tsbuild/errors'
import {
  formatPlatform,
  type HistoryEntry,
  type Platform,
  parsePlatform,
  type RuntimeConfig,
  samePlatform,
} from '@tsbuild/oci'
import { addImage, type Base, imageTitle } from './base.ts'
import { GrowingConfig } from './growing-config.ts'
import { completeHistory } from './history.ts'
import { createScope, type Scope, splitAssignment } from './scope.ts'
import type { StageBuilder } from './stage-builder.ts'
import type { FrontendOptions, HistoryDraft } from './types.ts'

/** `PATH` of an image that sets none. */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** A stage while its instructions are applied. */
export interface StageState {
  readonly stage: Stage
  readonly scope: Scope
  /** As in BuildKit's step names: `build`, `stage-1`, or empty in a file with one unnamed stage. */
  readonly label: string
  /** Whether the names of its steps begin with a platform. */
  readonly showsPlatform: boolean
  readonly ignoreCache: boolean
  /** What its steps run on: that of the stage it is based on, else `FROM --platform`, else that of the build. */
  readonly platform: Platform
  readonly total: number
  number: number
  /** The file system so far; undefined is empty. */
  rootfs: Digest | undefined
  /** Without what is in `growing` until the stage is built. */
  config: RuntimeConfig
  readonly growing: GrowingConfig
  author: string | undefined
  readonly baseHistory: readonly HistoryEntry[]
  readonly baseCreated: string | undefined
  readonly history: HistoryDraft[]
  /** A CMD of this very stage, which ENTRYPOINT does not reset. */
  hasOwnCmd: boolean
}

/** A stage of which nothing but FROM is done. @param instructions those to come, for the number of its steps */
export function startState(
  builder: StageBuilder,
  stage: Stage,
  base: Base,
  instructions: readonly Instruction[],
): StageState {
  const { options } = builder
  const parent = base.kind === 'stage' ? base.state : undefined
  const image = base.kind === 'image' ? base.image : undefined
  const inherited = parent?.config ?? image?.config.config ?? {}
  const env = withDefaultPath(inherited.env ?? [])
  const config = { ...inherited, env, onBuild: undefined }
  const steps = instructions.filter(({ kind }) => stepKinds.has(kind))
  const isStep = base.kind === 'files' || (image !== undefined && image.layers.length > 0)
  const state: StageState = {
    stage,
    scope: createScope(
      parent?.scope ?? imageScope(env),
      env,
      options.dockerfile.escape,
      builder.observer.unknownName,
    ),
    label: stage.name ?? (options.dockerfile.stages.length === 1 ? '' : `stage-${stage.index}`),
    showsPlatform: options.isOneOfSeveral,
    ignoreCache: ignoresCache(options, stage),
    platform: base.platform,
    total: steps.length + (isStep ? 1 : 0),
    number: 0,
    rootfs: parent?.rootfs,
    config,
    growing: new GrowingConfig(config),
    author: parent?.author ?? image?.config.author,
    baseHistory:
      parent?.baseHistory ?? completeHistory(image?.config.history ?? [], image?.layers.length ?? 0),
    baseCreated: parent?.baseCreated ?? image?.config.created,
    history: [...(parent?.history ?? [])],
    hasOwnCmd: false,
  }
  state.rootfs ??= addRootfs(builder, state, base)
  return state
}

const stepKinds: ReadonlySet<Instruction['kind']> = new Set(['run', 'copy', 'add', 'workdir'])

/** The first vertex of a stage. Files become a layer: a root file system counts by its key, not by its content. */
function addRootfs(builder: StageBuilder, state: StageState, base: Base): Digest | undefined {
  const { source } = state.stage.from
  if (base.kind === 'image') {
    if (base.image.layers.length === 0) return undefined
    return addImage(builder, base.image, source, nextStepName(state, imageTitle(base.image)))
  }
  if (base.kind !== 'files') return undefined
  state.history.push({ createdBy: `FROM ${base.name} # buildkit`, emptyLayer: false })
  const copy = {
    kind: 'copy',
    input: 0,
    sources: ['/'],
    dest: '/',
    exclude: [],
    parents: false,
    chown: undefined,
    chmod: undefined,
    unpack: false,
  } as const
  return builder.graph.add(
    { kind: 'file', rootfs: undefined, owners: undefined, actions: [copy] },
    { inputs: [base.files], name: nextStepName(state, `FROM ${base.name}`), source },
  )
}

/** So that `ENV PATH=/opt/bin:$PATH` works over an image that sets none, as it does over scratch with BuildKit. */
function withDefaultPath(env: readonly string[]): readonly string[] {
  return env.some((entry) => entry.startsWith('PATH=')) ? env : [...env, `PATH=${defaultPath}`]
}

function imageScope(env: readonly string[]) {
  return { environment: () => env, args: () => [], lastSet: () => [] }
}

function ignoresCache({ noCache }: FrontendOptions, stage: Stage): boolean {
  if (typeof noCache === 'boolean') return noCache
  return noCache.some((name) => name.toLowerCase() === stage.name || name === String(stage.index))
}

/**
 * The name of the next step: `[build 2/4] RUN make`, without credentials: it is shown and recorded. Counts it. Where an image is
 * one of several: `[linux/amd64 build 2/4] RUN make`, and `[linux/amd64->arm64 build 2/4] …` where the step knows its target.
 */
export function nextStepName(state: StageState, text: string): string {
  state.number++
  const words = [
    ...(state.showsPlatform ? [shownPlatform(state)] : []),
    ...(state.label === '' ? [] : [state.label]),
    `${state.number}/${state.total}`,
  ]
  return `[${words.join(' ')}] ${redact(text)}`
}

/** What a step runs on and, as far as it declared that, what it makes files for. */
function shownPlatform({ platform, scope }: StageState): string {
  const declared = new Map(scope.args().map(splitAssignment))
  const whole = declared.get('TARGETPLATFORM')
  const target = platformOfText(whole) ?? {
    os: declared.get('TARGETOS') || platform.os,
    architecture: declared.get('TARGETARCH') || platform.architecture,
    variant: declared.get('TARGETVARIANT') || (declared.has('TARGETARCH') ? undefined : platform.variant),
  }
  const shown = formatPlatform(platform)
  if (samePlatform(target, platform)) return shown
  const arrow = formatPlatform(target)
  return `${shown}->${target.os === platform.os ? arrow.slice(target.os.length + 1) : arrow}`
}

/** Anybody may give the variable any value. */
function platformOfText(text: string | undefined): Platform | undefined {
  if (text === undefined || text === '') return undefined
  try {
    return parsePlatform(text)
  } catch (error) {
    if (isBuildError(error)) return undefined
    throw error
  }
}
