import { InternalError } from '@tsbuild/errors'
import type { Outcome, Reply } from './protocol.ts'

type Check = (value: unknown) => boolean
type Shape = Readonly<Record<string, Check>>

const text: Check = (value) => typeof value === 'string'
const flag: Check = (value) => typeof value === 'boolean'
const count: Check = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value)
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check)
const object =
  (shape: Shape): Check =>
  (value) =>
    isShape(value, shape)

const oneOf =
  (...words: readonly unknown[]): Check =>
  (value) =>
    words.includes(value)

const cgroup = object({ version: oneOf(1, 2), controllers: list(text), path: text })
const range = object({ start: count, length: count })
const missingSource = object({ source: text, ignoredBy: orNull(count) })

const outcomes: Readonly<Record<Outcome['op'], Shape>> = {
  probe: {
    op: text,
    protocol: count,
    kernel: text,
    euid: count,
    overlay: flag,
    userNamespace: flag,
    newuidmap: orNull(text),
    newgidmap: orNull(text),
    subuids: list(range),
    subgids: list(range),
    cgroups: list(cgroup),
    pasta: orNull(text),
    slirp4netns: orNull(text),
    interpreters: list(object({ name: text, path: text, fixed: flag })),
    seccomp: flag,
    missing: list(object({ feature: text, reason: text, fix: text, required: flag })),
  },
  scan: {
    op: text,
    selections: list(object({ digest: text, entries: count, bytes: count, missing: list(missingSource) })),
    hashedBytes: count,
    entries: count,
  },
  copy: { op: text, files: count, bytes: count },
  read: { op: text, files: list(orNull(text)) },
  apply: { op: text, diffId: text, unpackedBytes: count, entries: count },
  diff: { op: text, digest: text, sizeBytes: count, diffId: text, unpackedBytes: count, entries: count },
  export: { op: text, files: count, bytes: count },
  run: {
    op: text,
    exitCode: count,
    signal: orNull(count),
    exceeded: orNull(object({ resource: oneOf('memory', 'pids'), owner: oneOf('run', 'session') })),
    userMicros: count,
    systemMicros: count,
    peakMemoryBytes: count,
    readBytes: count,
    writtenBytes: count,
  },
  session: { op: text },
  sync: { op: text },
  remove: { op: text },
  usage: { op: text, bytes: list(count) },
}

const outcome: Check = (value) =>
  isRecord(value) && typeof value.op === 'string' && Object.hasOwn(outcomes, value.op)
    ? isShape(value, outcomes[value.op as Outcome['op']])
    : false

const kind = oneOf('user', 'environment', 'internal')

const replies: Readonly<Record<Reply['event'], Shape>> = {
  started: { event: text, pid: count },
  session: {
    event: text,
    pid: count,
    cgroups: list(cgroup),
    unlimited: list(object({ limit: text, reason: text })),
  },
  connected: { event: text, dns: text, address: text },
  progress: { event: text, bytes: count },
  warning: { event: text, code: text, message: text },
  result: { event: text, result: outcome },
  layer: { event: text, digest: text, sizeBytes: count, diffId: text },
  durable: { event: text },
  error: { event: text, kind, code: text, message: text, errno: orNull(text) },
}

/**
 * Parses one line of the helper's output. Members must be exactly those of the protocol.
 *
 * @throws {InternalError} `ERR_HELPER_PROTOCOL` with the line, cut to 200 characters
 */
export function parseReply(line: string): Reply {
  const value = parseJson(line)
  if (isRecord(value) && typeof value.event === 'string' && Object.hasOwn(replies, value.event)) {
    if (isShape(value, replies[value.event as Reply['event']])) return value as unknown as Reply
  }
  throw new InternalError(
    'ERR_HELPER_PROTOCOL',
    `Cannot read the helper's reply: ${JSON.stringify(line.slice(0, 200))}`,
  )
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isShape(value: unknown, shape: Shape): boolean {
  if (!isRecord(value)) return false
  const names = Object.keys(value)
  return (
    names.length === Object.keys(shape).length && names.every((name) => shape[name]?.(value[name]) === true)
  )
}
