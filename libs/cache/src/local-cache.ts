import type { Digest } from '@tsbuild/digest'
import type { MissReason } from '@tsbuild/events'
import type { CacheRecord, CacheStore, Miss } from '@tsbuild/solver'
import type { Store } from '@tsbuild/store'
import { createExplainer } from './explain/explainer.ts'
import { identitiesOf } from './explain/identities.ts'
import type { Explanation } from './explain/types.ts'
import { decodeRecord, encodeRecord } from './record-codec.ts'

/** The records of the local store, as the solver reads them. */
export interface LocalCache extends CacheStore {
  /** Resolves when all links made so far are durable, or given up. */
  settled(): Promise<void>
}

/** What it takes to explain the misses of a build. */
export interface ExplainOptions {
  /** Of the build. */
  readonly vertices: readonly Miss['vertex'][]
  /** The flag that makes steps run: `--no-cache`. */
  readonly forcedBy: string
  readonly now: () => number
  /** What is to be said of caches elsewhere where nothing like a step was ever recorded here; undefined: nothing was asked. */
  readonly elsewhere?: (() => string | undefined) | undefined
  /** Takes the whole comparison behind a miss. Must not throw. */
  readonly onExplained: (vertex: Digest, explanation: Explanation) => void
}

/** Opens the cache of a store. A record that cannot be read is a miss. @param explaining undefined: nobody asks */
export function createLocalCache(store: Store, explaining?: ExplainOptions): LocalCache {
  const links: Promise<void>[] = []
  return {
    load(key) {
      const text = store.records.get(key)
      return text === undefined ? undefined : decodeRecord(text)
    },
    link(key: Digest, record: CacheRecord) {
      // A link only saves work; a build does not fail for want of one.
      links.push(store.records.put([{ keys: [key], text: encodeRecord(record) }]).catch(() => {}))
    },
    ...(explaining === undefined ? {} : { explain: explainWith(store, explaining) }),
    recorded(keys, record) {
      store.steps.add(Object.values(identitiesOf(record)), { keys, at: record.createdAt })
    },
    settled: async () => void (await Promise.all(links)),
  }
}

function explainWith(store: Store, options: ExplainOptions): (miss: Miss) => Promise<MissReason | undefined> {
  const { onExplained, forcedBy, now } = options
  const vertices = new Map(options.vertices.map((vertex) => [vertex.digest, vertex]))
  const explainer = createExplainer({ store, vertices, forcedBy, now })
  return async (miss) => {
    try {
      const explanation = withElsewhere(await explainer.explain(miss), options)
      onExplained(miss.vertex.digest, explanation)
      return explanation.reason
    } catch {
      // A record or a list that cannot be read costs an explanation, not a build.
      return undefined
    }
  }
}

/** A machine that knows nothing of a step has asked others, maybe in vain. */
function withElsewhere(explanation: Explanation, { elsewhere }: ExplainOptions): Explanation {
  const { reason } = explanation
  const answer = reason.code === 'first-build' ? elsewhere?.() : undefined
  return answer === undefined ? explanation : { ...explanation, reason: { ...reason, text: answer } }
}
