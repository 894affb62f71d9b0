import { isDigest } from '@tsbuild/digest'
import {
  count,
  either,
  flag,
  isRecord,
  listOf,
  nothing,
  objectOf,
  oneOf,
  optional,
  parseJson,
  type Shape,
  text,
} from '@tsbuild/shape'
import { type JournalEvent, untouched } from './fold.ts'
import { type BuildFacts, type BuildRecord, type BuildStep, historyFormat } from './types.ts'

/**
 * The text of `build.json`: JSON with a line for each step. Of a step only what differs from {@link untouched} is in it, as in a build
 * of 2,000 steps that finds everything the writing of the others takes longer than the build.
 */
export function encodeRecord({ steps, ...rest }: BuildRecord): string {
  const head = JSON.stringify({ format: historyFormat, ...rest })
  const lines = steps.map((step) => JSON.stringify(withoutUntouched(step)))
  return `${head.slice(0, -1)},"steps":[\n${lines.join(',\n')}\n]}\n`
}

function withoutUntouched(step: BuildStep): object {
  const plain: Readonly<Record<string, unknown>> = untouched
  return Object.fromEntries(
    Object.entries(step).filter(([name, value]) => {
      const initial = plain[name]
      if (name === 'log') return step.log.bytes > 0 || step.log.lostBytes > 0
      return name === 'transfers' ? step.transfers.length > 0 : initial === undefined || value !== initial
    }),
  )
}

/** @returns undefined for anything that is no record of this format */
export function parseRecord(written: string): BuildRecord | undefined {
  const value = withUntouched(parseJson(written))
  if (!isBuildRecord(value)) return undefined
  const { outcome, endedAt, error, steps, warnings, image } = value
  return { ...factsOf(value), outcome, endedAt, error, steps, warnings, image }
}

function withUntouched(value: unknown): unknown {
  if (!isRecord(value) || !Array.isArray(value.steps)) return value
  const steps = value.steps.map((one: unknown) => (isRecord(one) ? { ...untouched, ...one } : one))
  return { ...value, steps }
}

/** The first line of a journal. @returns undefined for anything else */
export function parseFacts(line: string): BuildFacts | undefined {
  const value = parseJson(line)
  return isFacts(value) ? factsOf(value) : undefined
}

/** Any other line. @returns undefined for one that was cut off, and for events that this version does not know */
export function parseEvent(line: string): JournalEvent | undefined {
  const value = parseJson(line)
  return isEvent(value) ? value : undefined
}

/** What is kept of a step's explanation. @returns undefined for what is none */
export function parseExplanation(written: string): unknown {
  const value = parseJson(written)
  return isRecord(value) && value.format === historyFormat ? value.explanation : undefined
}

function factsOf({ ref, name, request, version, machine, pid, startedAt }: BuildFacts): BuildFacts {
  return { ref, name, request, version, machine, pid, startedAt }
}

function isBuildRecord(value: unknown): value is BuildRecord {
  return record(value)
}

function isFacts(value: unknown): value is BuildFacts {
  return factsShape(value)
}

function isEvent(value: unknown): value is JournalEvent {
  return isRecord(value) && typeof value.type === 'string' && events.get(value.type)?.(value) === true
}

const digest: Shape = (value) => typeof value === 'string' && isDigest(value)
/** Unix ms; also what `Date` can hold of it. */
const time: Shape = (value) => typeof value === 'number' && Math.abs(value) <= 8.64e15
const orNull = (shape: Shape): Shape => either(nothing, shape)

const source = orNull(
  objectOf({ file: text, startLine: count, startColumn: count, endLine: count, endColumn: count }),
)
const miss = objectOf({ code: text, text })
const usage = {
  userMicros: count,
  systemMicros: count,
  peakMemoryBytes: count,
  readBytes: count,
  writtenBytes: count,
}
const amounts = { id: text, currentBytes: count, totalBytes: orNull(count), done: flag }
const from = oneOf('local', 'remote')

const facts = {
  format: oneOf(historyFormat),
  ref: text,
  name: text,
  request: objectOf({
    context: text,
    dockerfile: orNull(text),
    target: orNull(text),
    tags: listOf(text),
    flags: listOf(text),
  }),
  version: text,
  machine: text,
  pid: count,
  startedAt: time,
}
const factsShape = objectOf(facts)

const read = objectOf({ input: digest, content: digest })
const outcome = optional(oneOf('sent', 'exists', 'mounted'))

const step = objectOf({
  number: count,
  vertex: digest,
  name: text,
  role: oneOf('step', 'source', 'internal'),
  source,
  inputs: listOf(digest),
  outcome: oneOf('not-reached', 'running', 'cached', 'completed', 'failed', 'cancelled'),
  startedAt: orNull(time),
  endedAt: orNull(time),
  error: orNull(text),
  from: orNull(from),
  savedMs: orNull(time),
  miss: orNull(miss),
  reads: listOf(read),
  explained: flag,
  waitedFor: orNull(text),
  usage: orNull(objectOf(usage)),
  transfers: listOf(objectOf({ ...amounts, outcome, startedAt: time, at: time })),
  log: objectOf({ bytes: count, lostBytes: count }),
})

const record = objectOf({
  ...facts,
  outcome: oneOf('completed', 'failed', 'cancelled'),
  endedAt: time,
  error: orNull(
    objectOf({
      kind: oneOf('user', 'environment', 'internal'),
      code: text,
      message: text,
      hints: listOf(text),
      source,
      excerpt: orNull(objectOf({ firstLine: count, lines: listOf(text) })),
    }),
  ),
  steps: listOf(step),
  warnings: listOf(objectOf({ rule: text, message: text, source, page: orNull(text) })),
  image: orNull(objectOf({ digest: text, configDigest: orNull(text) })),
})

const ofVertex = { vertex: digest, at: time }
const events: ReadonlyMap<string, Shape> = new Map([
  [
    'vertex.planned',
    objectOf({
      ...ofVertex,
      name: text,
      inputs: listOf(digest),
      source,
      role: optional(oneOf('source', 'view', 'internal')),
    }),
  ],
  ['vertex.started', objectOf(ofVertex)],
  [
    'vertex.cached',
    objectOf({
      ...ofVertex,
      from,
      cache: optional(text),
      savedMs: optional(time),
      reads: optional(listOf(read)),
    }),
  ],
  ['vertex.missed', objectOf({ ...ofVertex, reason: miss, reads: optional(listOf(read)) })],
  ['vertex.completed', objectOf(ofVertex)],
  ['vertex.usage', objectOf({ ...ofVertex, ...usage })],
  ['vertex.failed', objectOf({ ...ofVertex, error: text })],
  ['vertex.cancelled', objectOf(ofVertex)],
  ['vertex.status', objectOf({ ...ofVertex, ...amounts, outcome })],
  ['vertex.waiting', objectOf({ ...ofVertex, reason: text })],
  ['warning', objectOf({ rule: text, message: text, source, page: optional(text), at: time })],
  ['history.explained', objectOf({ vertex: digest })],
])
