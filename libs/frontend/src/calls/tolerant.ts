import { digestBytes } from '@tsbuild/digest'
import type { Stage } from '@tsbuild/dockerfile'
import { type BuildError, isBuildError } from '@tsbuild/errors'
import type { Platform } from '@tsbuild/oci'
import { createImageQuestions } from '../image-questions.ts'
import type { StageObserver } from '../lint/observer.ts'
import { prefetchImages } from '../prefetch.ts'
import { withoutSourceDate } from '../source-date.ts'
import { createStageBuilder } from '../stage-builder.ts'
import type { FrontendOptions, ImageResolver, ResolvedImage } from '../types.ts'

/** An image that could not be asked for: nothing below it is known. */
export interface UnresolvedImage {
  readonly reference: string
  readonly reason: BuildError
}

/** Looks at stages although not everything of them can be had. */
export interface Tolerance {
  /** Gives an empty image where the registry cannot be asked. */
  readonly resolveImage: ImageResolver
  /** Images that could not be asked for, each once. */
  readonly unresolved: readonly UnresolvedImage[]
  isUnknown(image: ResolvedImage): boolean
  /** What would end a build, in the order of discovery. */
  readonly errors: readonly BuildError[]
  /** Builds stages as far as they go, before the eyes of an observer; goes on after an instruction that fails. */
  visit(options: FrontendOptions, stages: readonly Stage[], observer: StageObserver): Promise<void>
}

/** Starts with nothing tolerated. Bugs of ours and cancelling are never tolerated. */
export function createTolerance({ resolveImage }: Pick<FrontendOptions, 'resolveImage'>): Tolerance {
  const unresolved = new Map<string, UnresolvedImage>()
  const stubs = new WeakSet<ResolvedImage>()
  const errors: BuildError[] = []
  const note = (error: unknown): void => {
    if (!isTolerable(error)) throw error
    // One error may come to light in every stage that is based on the one at fault.
    if (!errors.some((known) => known.message === error.message && samePlace(known, error)))
      errors.push(error)
  }
  return {
    errors,
    get unresolved() {
      return [...unresolved.values()]
    },
    isUnknown: (image) => stubs.has(image),
    async resolveImage(reference, platform, signal) {
      try {
        return await resolveImage(reference, platform, signal)
      } catch (error) {
        // That it does not exist would be known, and is an error of the file.
        if (!isTolerable(error) || error.kind !== 'environment') throw error
        unresolved.set(reference, { reference, reason: error })
        const stub = emptyImage(reference, platform)
        stubs.add(stub)
        return stub
      }
    },
    async visit(given, wanted, observer) {
      const tolerate = (body: () => Promise<void>) => body().catch(note)
      const tolerant: StageObserver = {
        ...observer,
        apply: (state, instruction, run) => tolerate(() => observer.apply(state, instruction, run)),
      }
      const questions = createImageQuestions(given.resolveImage)
      // Nothing runs, so nothing has to be allowed.
      const allow = ['network.host', 'security.insecure'] as const
      const asking = { ...given, allow, resolveImage: questions.resolve }
      await tolerate(async () => {
        const stages = createStageBuilder(withoutSourceDate(asking), tolerant)
        prefetchImages(stages, wanted)
        for (const stage of wanted) await tolerate(async () => void (await stages.build(stage)))
      }).finally(questions.stop)
    },
  }
}

function isTolerable(error: unknown): error is BuildError {
  return isBuildError(error) && error.kind !== 'internal' && error.code !== 'ERR_CANCELLED'
}

function samePlace(a: BuildError, b: BuildError): boolean {
  return a.source?.startLine === b.source?.startLine
}

function emptyImage(reference: string, platform: Platform): ResolvedImage {
  return {
    reference,
    manifest: digestBytes(`unresolved ${reference}`),
    layers: [],
    config: { platform, config: {}, diffIds: [], history: [] },
  }
}
