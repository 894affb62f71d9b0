import { digestBytes } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import type { BuildStep, StepOutcome } from '../types.ts'

/** Numbers from 0 to 1 that are the same for one seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed * 2654435761 + 1
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 374761393) >>> 0
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32
  }
}

/** What a step of a random build did, to be compared with what is read back. */
export interface Expected
  extends Pick<BuildStep, 'name' | 'role' | 'outcome' | 'miss' | 'savedMs' | 'error' | 'startedAt'> {
  readonly vertex: BuildStep['vertex']
  /** Everything it wrote, both streams in order. */
  readonly log: Buffer
  readonly stderr: Buffer
}

/** A build of up to 12 steps with lives of every kind, whose events are in a random but possible order. */
export function randomBuild(seed: number): {
  readonly events: readonly BuildEvent[]
  readonly steps: readonly Expected[]
} {
  const random = randomNumbers(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const lives = Array.from({ length: 1 + below(12) }, (_, index) => randomLife(`${seed}-${index}`, below))
  const events: BuildEvent[] = lives.flatMap(({ events: [first] }) => first ?? [])
  const rest = lives.map((life) => life.events.slice(1)).filter((left) => left.length > 0)
  while (rest.length > 0) {
    const index = below(rest.length)
    const next = rest[index]?.shift()
    if (next !== undefined) events.push(next)
    else rest.splice(index, 1)
  }
  return { events, steps: lives.map(({ step }) => step) }
}

function randomLife(id: string, below: (limit: number) => number): { events: BuildEvent[]; step: Expected } {
  const vertex = digestBytes(id)
  const name = `[${id}] RUN é \u001b[1m "quoted" ${'x'.repeat(below(100))}`
  const roles = ['step', 'step', 'step', 'source', 'internal'] as const
  const role = roles[below(roles.length)] ?? 'step'
  const outcomes = ['not-reached', 'running', 'cached', 'completed', 'failed', 'cancelled'] as const
  const outcome = outcomes[below(outcomes.length)] ?? 'completed'
  const at = 1_700_000_000_000 + below(1_000_000)
  const missed = outcome !== 'cached' && outcome !== 'not-reached' && below(2) === 0
  const miss = missed ? ({ code: 'files', text: `${id} changed` } as const) : null
  const logs = outcome === 'cached' || outcome === 'not-reached' ? [] : randomLogs(vertex, at, below)
  const savedMs = outcome === 'cached' && below(2) === 0 ? below(1000) : null
  const events: BuildEvent[] = [
    {
      type: 'vertex.planned',
      vertex,
      name,
      inputs: [],
      source: null,
      ...(role === 'step' ? {} : { role }),
      at,
    },
    ...(miss === null ? [] : [{ type: 'vertex.missed', vertex, reason: miss, at } as const]),
    ...(outcome === 'cached' || outcome === 'not-reached'
      ? []
      : [{ type: 'vertex.started', vertex, at } as const]),
    ...logs,
    ...endOf(vertex, outcome, savedMs, at),
  ]
  const bytes = (wanted: (event: (typeof logs)[number]) => boolean) =>
    Buffer.concat(logs.filter(wanted).map(({ data }) => data))
  return {
    events,
    step: {
      vertex,
      name,
      role,
      outcome,
      miss,
      savedMs,
      error: outcome === 'failed' ? 'exit code: 2' : null,
      startedAt: outcome === 'cached' || outcome === 'not-reached' ? null : at,
      log: bytes(() => true),
      stderr: bytes(({ stream }) => stream === 'stderr'),
    },
  }
}

function randomLogs(vertex: Expected['vertex'], at: number, below: (limit: number) => number) {
  return Array.from({ length: below(6) }, (_, index) => ({
    type: 'vertex.log' as const,
    vertex,
    stream: below(2) === 0 ? ('stdout' as const) : ('stderr' as const),
    data: Buffer.from(Array.from({ length: below(300) }, () => below(256))),
    at: at + (below(2) === 0 ? 0 : index),
  }))
}

function endOf(
  vertex: Expected['vertex'],
  outcome: StepOutcome,
  savedMs: number | null,
  start: number,
): BuildEvent[] {
  const at = start + 7
  switch (outcome) {
    case 'not-reached':
    case 'running':
      return []
    case 'cached':
      return [{ type: 'vertex.cached', vertex, from: 'local', ...(savedMs === null ? {} : { savedMs }), at }]
    case 'failed':
      return [{ type: 'vertex.failed', vertex, error: 'exit code: 2', at }]
    case 'completed':
    case 'cancelled':
      return [{ type: `vertex.${outcome}`, vertex, at }]
  }
}
