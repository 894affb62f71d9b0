import { type Digest, digestKey } from '@tsbuild/digest'
import { isLintRule, lintPage, lintRules } from '@tsbuild/dockerfile'
import { isBuildError, type SourceRange } from '@tsbuild/errors'
import type { EventSink } from '@tsbuild/events'

/** Shows what the builder itself does as vertices, as BuildKit does: `[internal] load build definition`. */
export interface InternalVertices {
  /** Runs `body` as a vertex of this name. */
  run<T>(name: string, body: (vertex: Digest) => Promise<T>): Promise<T>
  warn(warning: {
    readonly rule: string
    readonly message: string
    readonly source: SourceRange | null
  }): void
}

/** Names are told apart by the build and by a count, so that one name may be used twice. */
export function createInternalVertices(ref: string, events: EventSink, now: () => number): InternalVertices {
  let count = 0
  return {
    async run(name, body) {
      const vertex = digestKey('tsbuild.internal.v1', { ref, name, count: count++ })
      events({
        type: 'vertex.planned',
        vertex,
        name,
        inputs: [],
        source: null,
        role: 'internal',
        at: now(),
      })
      events({ type: 'vertex.started', vertex, at: now() })
      try {
        const result = await body(vertex)
        events({ type: 'vertex.completed', vertex, at: now() })
        return result
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        // What a cache promised and did not give is had in another way.
        if (isBuildError(error) && ['ERR_CANCELLED', 'ERR_CACHE_LAYER'].includes(error.code))
          events({ type: 'vertex.cancelled', vertex, at: now() })
        else events({ type: 'vertex.failed', vertex, error: message, at: now() })
        throw error
      }
    },
    warn({ rule, message, source }) {
      const about = isLintRule(rule) ? { summary: lintRules[rule].summary, page: lintPage(rule) } : {}
      events({ type: 'warning', rule, message, source, ...about, at: now() })
    },
  }
}
