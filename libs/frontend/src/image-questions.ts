import { formatPlatform } from '@tsbuild/oci'
import type { ImageResolver, ResolvedImage } from './types.ts'

/** Asks for each image once. */
export interface ImageQuestions {
  readonly resolve: ImageResolver
  /** Ends what is still being asked, and waits until it has ended. */
  stop(): Promise<void>
}

/** Starts with no image asked for. */
export function createImageQuestions(ask: ImageResolver): ImageQuestions {
  const asked = new Map<string, Promise<ResolvedImage>>()
  const aborter = new AbortController()
  return {
    resolve(reference, platform) {
      const key = `${reference}\n${formatPlatform(platform)}`
      const known = asked.get(key)
      if (known !== undefined) return known
      const answer = (async () => await ask(reference, platform, aborter.signal))()
      asked.set(key, answer)
      return answer
    },
    async stop() {
      aborter.abort()
      await Promise.allSettled(asked.values())
    },
  }
}
