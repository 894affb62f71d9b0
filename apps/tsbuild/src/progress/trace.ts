import type { Digest } from '@tsbuild/digest'
import type { BuildEvent, Millis, TransferOutcome } from '@tsbuild/events'

/** How a vertex ended. */
export type VertexEnd =
  | { readonly kind: 'completed' | 'unchanged' | 'cancelled'; readonly at: Millis }
  /** Saved: how long it took when it was made. */
  | { readonly kind: 'cached'; readonly savedMs: number | undefined; readonly at: Millis }
  | { readonly kind: 'failed'; readonly error: string; readonly at: Millis }

/** A part of a vertex with its own progress. */
export interface TraceStatus {
  readonly id: string
  readonly startedAt: Millis
  at: Millis
  currentBytes: number
  totalBytes: number | null
  done: boolean
  outcome: TransferOutcome | undefined
}

/** What is known of a vertex. */
export interface TraceVertex {
  readonly digest: Digest
  readonly name: string
  startedAt: Millis | undefined
  end: VertexEnd | undefined
  readonly statuses: Map<string, TraceStatus>
  waiting: string | undefined
  waitingSince: Millis | undefined
  /** Why it has to run. */
  miss: string | undefined
}

/** The state of a build as its events tell it. Changed by {@link updateTrace} only. */
export interface Trace {
  startedAt: Millis | undefined
  /** By first mention. */
  readonly vertexes: Map<Digest, TraceVertex>
  /** Those that are left out: they do nothing that one could wait for. */
  readonly views: Set<Digest>
  readonly warnings: (BuildEvent & { type: 'warning' })[]
}

/** A trace of nothing. */
export function createTrace(): Trace {
  return { startedAt: undefined, vertexes: new Map(), views: new Set(), warnings: [] }
}

/** Brings the trace up to date with an event and gives the vertex that the event is about, if any is shown. */
export function updateTrace(trace: Trace, event: BuildEvent): TraceVertex | undefined {
  trace.startedAt ??= event.at
  switch (event.type) {
    case 'build.started':
    case 'build.completed':
    case 'build.failed':
      return undefined
    case 'warning':
      trace.warnings.push(event)
      return undefined
    case 'vertex.planned':
      if (event.view === true) {
        trace.views.add(event.vertex)
        return undefined
      }
      return addVertex(trace, event.vertex, event.name)
    default: {
      if (trace.views.has(event.vertex)) return undefined
      const vertex = trace.vertexes.get(event.vertex) ?? addVertex(trace, event.vertex, event.vertex)
      updateVertex(vertex, event)
      return vertex
    }
  }
}

type VertexEvent = Exclude<Extract<BuildEvent, { vertex: Digest }>, { type: 'vertex.planned' }>

function updateVertex(vertex: TraceVertex, event: VertexEvent): void {
  switch (event.type) {
    case 'vertex.started':
      vertex.startedAt ??= event.at
      vertex.waiting = undefined
      return
    case 'vertex.cached':
      vertex.end = { kind: 'cached', savedMs: event.savedMs, at: event.at }
      return
    case 'vertex.missed':
      vertex.miss = event.reason.text
      vertex.waiting = undefined
      return
    case 'vertex.completed':
      vertex.end = { kind: event.unchanged === true ? 'unchanged' : 'completed', at: event.at }
      return
    case 'vertex.cancelled':
      vertex.end = { kind: 'cancelled', at: event.at }
      return
    case 'vertex.failed':
      vertex.end = { kind: 'failed', error: event.error, at: event.at }
      return
    case 'vertex.waiting':
      vertex.waiting = event.reason
      vertex.waitingSince ??= event.at
      return
    case 'vertex.status':
      updateStatus(vertex, event)
      return
    case 'vertex.log':
      return
  }
}

function updateStatus(vertex: TraceVertex, event: BuildEvent & { type: 'vertex.status' }): void {
  const known = vertex.statuses.get(event.id)
  const { at, currentBytes, totalBytes, done, outcome } = event
  if (known !== undefined) Object.assign(known, { at, currentBytes, totalBytes, done, outcome })
  else
    vertex.statuses.set(event.id, {
      id: event.id,
      startedAt: at,
      at,
      currentBytes,
      totalBytes,
      done,
      outcome,
    })
}

function addVertex(trace: Trace, digest: Digest, name: string): TraceVertex {
  const known = trace.vertexes.get(digest)
  if (known !== undefined) return known
  const vertex: TraceVertex = {
    digest,
    name,
    startedAt: undefined,
    end: undefined,
    statuses: new Map(),
    waiting: undefined,
    waitingSince: undefined,
    miss: undefined,
  }
  trace.vertexes.set(digest, vertex)
  return vertex
}

/** Whether its result is there. */
export function endedWell({ end }: TraceVertex): boolean {
  return end !== undefined && ['completed', 'unchanged', 'cached'].includes(end.kind)
}

/** How many steps of the Dockerfile ended well, by running or from the cache, and how many were given up. */
export function countSteps(trace: Trace): { readonly kept: number; readonly lost: number } {
  let kept = 0
  let lost = 0
  for (const vertex of trace.vertexes.values()) {
    if (vertex.name.startsWith('[internal]')) continue
    if (endedWell(vertex)) kept++
    else if (vertex.startedAt !== undefined) lost++
  }
  return { kept, lost }
}
