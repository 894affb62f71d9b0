import { type Digest, digestBytes, type KeyValue } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import type { MergedGraph, Vertex } from '@tsbuild/graph'
import {
  type CacheRecord,
  type CacheStore,
  type Solution,
  type SolverOp,
  type StepOp,
  solve,
} from '../index.ts'

/** A step of the tests: its result is a text made of its inputs' texts. */
export interface Step {
  readonly name: string
  /** What it does, where it is not the name that says it: two steps with one text are one step to the cache. */
  readonly text?: string
  readonly inputs?: readonly string[]
  /** Read by content: only the text in front of `/` of the input counts. */
  readonly readsContent?: boolean
  readonly pure?: boolean
  readonly ignoreCache?: boolean
  readonly maxAgeMs?: number
  readonly run?: (inputs: readonly string[], signal: AbortSignal) => Promise<string> | string
  /** Whether it says what it put upon its base: its own text, the bases' left out. */
  readonly digestsLayer?: boolean
  /** What its commit waits for. */
  readonly beforeCommit?: () => Promise<void>
  /** Makes it a view: its result is the texts of its inputs. */
  readonly view?: true
  /** Makes it a source. */
  readonly source?: KeyValue | 'unkeyed'
}

/** What outlives one solve: records, results, and how often each step ran in the last one. */
export interface World {
  readonly start: (
    steps: readonly Step[],
    target: string | readonly string[],
    signal?: AbortSignal | undefined,
  ) => Promise<Solution<string>>
  /** Names, in the order they ran. */
  readonly runs: readonly string[]
  readonly events: readonly BuildEvent[]
  readonly records: Map<Digest, CacheRecord>
  /** Stored results that can be brought back no more. */
  readonly gone: Set<string>
  /** Work done since the last start. */
  readonly counts: { loads: number; restores: number; contents: number }
  /** Digests of content whose lists were asked for, in order. */
  readonly lists: Digest[]
  /** What the cache does besides; nothing at first. */
  readonly more: {
    -readonly [M in 'explain' | 'recorded' | 'load' | 'link' | 'prepare' | 'ask']?: NonNullable<CacheStore[M]>
  }
  /** Locks that are held or waited for, and how many were at most. */
  readonly locks: { held: number; most: number }
  /** Contents that are read, and how many at a time at most. */
  readonly readers: { now: number; most: number }
  /** What it is by the clock, in ms; each look makes it one later. */
  readonly clock: { now: number }
}

/** The vertex of a step. */
export const digestOf = (name: string): Digest => digestBytes(name)

function graphOf(steps: readonly Step[], targets: readonly string[]): MergedGraph {
  const vertices = steps.map(
    ({ name, inputs = [], ignoreCache = false }): Vertex => ({
      digest: digestOf(name),
      op: { kind: 'local', name },
      inputs: inputs.map(digestOf),
      name,
      source: null,
      ignoreCache,
    }),
  )
  return { vertices, targets: targets.map(digestOf) }
}

interface Host extends Pick<World, 'gone' | 'counts' | 'lists'> {
  readonly runs: string[]
  readonly records: Map<Digest, CacheRecord>
  /** Contents that are read now, and at most were at a time. */
  readonly readers: { now: number; most: number }
  /** Of the next execution. */
  serial: number
}

function opOf(step: Step, host: Host): SolverOp<string> {
  const { inputs = [], source } = step
  if (source !== undefined) {
    const key = source === 'unkeyed' ? undefined : source
    const describe = async () => (await step.run?.([], new AbortController().signal)) ?? step.name
    return { kind: 'source', key, describe }
  }
  if (step.view === true)
    return { kind: 'view', key: { view: step.name }, combine: (results) => results.join('+') }
  const content = async (result: string) => {
    host.counts.contents++
    host.readers.most = Math.max(host.readers.most, ++host.readers.now)
    await Promise.resolve()
    host.readers.now--
    const [read = ''] = result.split('/')
    return { digest: digestBytes(read), preimage: read }
  }
  const keepList = async (result: string) => {
    host.lists.push((await content(result)).digest)
    if (step.name === 'without list') throw new Error('there is none')
  }
  return {
    kind: 'step',
    about: { step: step.name },
    key: { name: step.text ?? step.name },
    inputs: inputs.map(() => (step.readsContent ? { content, keepList } : {})),
    pure: step.pure ?? false,
    // As a layer: upon the first input.
    bases: inputs.length === 0 || step.readsContent === true ? [] : [0],
    maxAgeMs: step.maxAgeMs,
    load: (stored) => {
      host.counts.restores++
      return typeof stored === 'string' && !host.gone.has(stored) ? stored.replace(/#\d+$/, '') : undefined
    },
    execute: (results, { signal }) => execute(step, host, results, signal),
  }
}

async function execute(
  step: Step,
  host: Host,
  results: readonly string[],
  signal: AbortSignal,
): ReturnType<StepOp<string>['execute']> {
  host.runs.push(step.name)
  const result = (await step.run?.(results, signal)) ?? step.name
  return {
    result,
    stored: `${result}#${host.serial++}`,
    content: step.digestsLayer === true ? digestBytes(result) : undefined,
    commit: async (keys, record) => {
      await step.beforeCommit?.()
      for (const key of keys) host.records.set(key, record)
    },
  }
}

/** Starts with nothing recorded. @param serial of its first execution: no two machines store one thing under one name */
export function createWorld(serial = 0): World {
  const counts = { loads: 0, restores: 0, contents: 0 }
  const host: Host = {
    runs: [],
    records: new Map(),
    gone: new Set(),
    counts,
    lists: [],
    readers: { now: 0, most: 0 },
    serial,
  }
  const { runs, records, gone, lists, readers } = host
  const more: World['more'] = {}
  const events: BuildEvent[] = []
  const locked = new Map<Digest, Promise<unknown>>()
  const locks = { held: 0, most: 0 }
  const clock = { now: 0 }
  const load = (key: Digest) => {
    counts.loads++
    return records.get(key)
  }
  const start: World['start'] = async (steps, target, signal = new AbortController().signal) => {
    runs.length = 0
    events.length = 0
    Object.assign(counts, { loads: 0, restores: 0, contents: 0 })
    const byDigest = new Map(steps.map((step) => [digestOf(step.name), step]))
    const solution = await solve<string>({
      graph: graphOf(steps, typeof target === 'string' ? [target] : target),
      op: (vertex) => opOf(byDigest.get(vertex.digest) as Step, host),
      cache: { load, link: (key, record) => void records.set(key, record), ...more },
      exclusive: async (key, body) => {
        const before = locked.get(key)
        locks.held++
        locks.most = Math.max(locks.most, locks.held)
        const mine = (before ?? Promise.resolve()).then(body).finally(() => locks.held--)
        locked.set(
          key,
          mine.catch(() => {}),
        )
        return await mine
      },
      events: (event) => events.push(event),
      now: () => clock.now++,
      signal,
      parallelism: 4,
    })
    await solution.durable
    return solution
  }
  return { start, runs, events, records, gone, counts, lists, more, locks, readers, clock }
}
