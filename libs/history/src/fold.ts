import type { Digest } from '@tsbuild/digest'
import type { BuildEvent, Millis } from '@tsbuild/events'
import type { BuildEnd, BuildFacts, BuildRecord, BuildStep, BuildWarning, StepTransfer } from './types.ts'

/** What a record is made from besides events of the build. */
export type JournalEvent =
  | Exclude<
      BuildEvent,
      { readonly type: 'vertex.log' | 'build.started' | 'build.completed' | 'build.failed' }
    >
  | { readonly type: 'history.explained'; readonly vertex: Digest }

/** See {@link BuildFold.record}. */
export type FoldedEnd = Pick<BuildRecord, 'outcome' | 'endedAt' | 'error' | 'image'>

/** What a step is before anything happens to it. */
export const untouched = {
  outcome: 'not-reached',
  startedAt: null,
  endedAt: null,
  error: null,
  from: null,
  savedMs: null,
  miss: null,
  reads: [],
  explained: false,
  waitedFor: null,
  usage: null,
  transfers: [],
  log: { bytes: 0, lostBytes: 0 },
} as const satisfies Partial<BuildStep>

type OpenStep = { -readonly [Name in keyof BuildStep]: BuildStep[Name] }

const begins: ReadonlySet<JournalEvent['type']> = new Set([
  'vertex.missed',
  'vertex.waiting',
  'vertex.started',
  'vertex.cached',
  'vertex.completed',
  'vertex.failed',
  'vertex.cancelled',
])

/** Makes a record from the events of a build. */
export class BuildFold {
  readonly #facts: BuildFacts
  readonly #steps = new Map<Digest, OpenStep>()
  readonly #transfers = new Map<Digest, Map<string, StepTransfer>>()
  /** Steps that have begun or were found. */
  #begun = 0
  /** Of each view the steps behind it. */
  readonly #views = new Map<Digest, readonly Digest[]>()
  readonly #warnings: BuildWarning[] = []

  constructor(facts: BuildFacts) {
    this.#facts = facts
  }

  /** Undefined for views, and for what was not planned. */
  roleOf(vertex: Digest): BuildStep['role'] | undefined {
    return this.#steps.get(vertex)?.role
  }

  /** Events of a vertex that was not planned say nothing. */
  apply(event: JournalEvent): void {
    if (event.type === 'warning') {
      const { rule, message, source, page = null } = event
      this.#warnings.push({ rule, message, source, page })
      return
    }
    if (event.type === 'vertex.planned') {
      this.#plan(event)
      return
    }
    const step = this.#steps.get(event.vertex)
    if (step === undefined) return
    // As plain progress counts; the other events come between these.
    if (step.number === 0 && begins.has(event.type)) step.number = ++this.#begun
    if (event.type === 'vertex.status') this.#transfer(event)
    else if (event.type === 'history.explained') step.explained = true
    else if (event.type === 'vertex.waiting') step.waitedFor = event.reason
    else if (event.type === 'vertex.missed') {
      step.miss = event.reason
      step.reads = event.reads ?? []
    } else if (event.type === 'vertex.usage') {
      const { userMicros, systemMicros, peakMemoryBytes, readBytes, writtenBytes } = event
      step.usage = { userMicros, systemMicros, peakMemoryBytes, readBytes, writtenBytes }
    } else move(step, event)
  }

  /**
   * The record of what came up to now; steps that still run have the build's own end.
   * @param logOf how much a step wrote
   */
  record(end: FoldedEnd, logOf: (vertex: Digest) => BuildStep['log']): BuildRecord {
    let last = this.#begun
    const steps = [...this.#steps.values()].map((step): BuildStep => {
      const { vertex } = step
      const number = step.number === 0 ? ++last : step.number
      const transfers = [...(this.#transfers.get(vertex)?.values() ?? [])]
      return { ...step, ...cutShort(step, end), number, transfers, log: logOf(vertex) }
    })
    steps.sort((a, b) => a.number - b.number)
    return { ...this.#facts, ...end, steps, warnings: [...this.#warnings] }
  }

  #plan(event: Extract<JournalEvent, { type: 'vertex.planned' }>): void {
    const { vertex, name, source, role = 'step' } = event
    const inputs = [...new Set(event.inputs.flatMap((input) => this.#views.get(input) ?? [input]))]
    if (role === 'view') this.#views.set(vertex, inputs)
    else if (!this.#steps.has(vertex))
      this.#steps.set(vertex, {
        number: 0,
        vertex,
        name,
        role,
        source,
        inputs,
        ...untouched,
      })
  }

  #transfer(event: Extract<JournalEvent, { type: 'vertex.status' }>): void {
    const { vertex, id, at, currentBytes, totalBytes, done, outcome } = event
    const known = this.#transfers.get(vertex) ?? new Map<string, StepTransfer>()
    this.#transfers.set(vertex, known)
    const startedAt = known.get(id)?.startedAt ?? at
    const amounts = { currentBytes, totalBytes, done }
    known.set(id, { id, startedAt, at, ...amounts, ...(outcome === undefined ? {} : { outcome }) })
  }
}

type LifeEvent = Extract<
  JournalEvent,
  { type: `vertex.${'started' | 'cached' | 'completed' | 'failed' | 'cancelled'}` }
>

function move(step: OpenStep, event: LifeEvent): void {
  switch (event.type) {
    case 'vertex.started':
      step.startedAt ??= event.at
      step.outcome = 'running'
      return
    case 'vertex.cached':
      step.outcome = 'cached'
      step.from = event.from
      step.savedMs = event.savedMs ?? null
      step.reads = event.reads ?? []
      break
    case 'vertex.completed':
      step.outcome = 'completed'
      break
    case 'vertex.failed':
      step.outcome = 'failed'
      step.error = event.error
      break
    case 'vertex.cancelled':
      step.outcome = 'cancelled'
  }
  step.endedAt = event.at
}

/** A build that ended has no step that runs: what was not said to have ended was given up. */
function cutShort(
  step: BuildStep,
  { outcome, endedAt }: FoldedEnd,
): { readonly outcome?: 'cancelled'; readonly endedAt?: Millis | null } {
  if (step.outcome !== 'running' || outcome === 'running') return {}
  return { outcome: 'cancelled', endedAt }
}

/** A build's end as a record has it. */
export function endedAs({ outcome, error, image }: BuildEnd, endedAt: Millis): FoldedEnd {
  return { outcome, endedAt, error, image }
}
