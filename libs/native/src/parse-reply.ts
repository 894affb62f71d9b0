import { InternalError } from '@tsbuild/errors'
import {
  count,
  either,
  exactly,
  flag,
  isRecord,
  listOf,
  type Members,
  nothing,
  oneOf,
  parseJson,
  type Shape,
  text,
} from '@tsbuild/shape'
import type { Outcome, Reply } from './protocol.ts'

const orNull = (shape: Shape) => either(nothing, shape)

const cgroup = exactly({ version: oneOf(1, 2), controllers: listOf(text), path: text })
const range = exactly({ start: count, length: count })
const missingSource = exactly({ source: text, ignoredBy: orNull(count) })

const writtenLayer = {
  digest: text,
  sizeBytes: count,
  diffId: text,
  unpackedBytes: count,
  tocDigest: orNull(text),
}

const outcomes: Readonly<Record<Outcome['op'], Members>> = {
  probe: {
    op: text,
    protocol: count,
    kernel: text,
    euid: count,
    overlay: flag,
    userNamespace: flag,
    newuidmap: orNull(text),
    newgidmap: orNull(text),
    subuids: listOf(range),
    subgids: listOf(range),
    cgroups: listOf(cgroup),
    pasta: orNull(text),
    slirp4netns: orNull(text),
    interpreters: listOf(exactly({ name: text, path: text, fixed: flag })),
    seccomp: flag,
    missing: listOf(exactly({ feature: text, reason: text, fix: text, required: flag })),
  },
  scan: {
    op: text,
    selections: listOf(
      exactly({ digest: text, entries: count, bytes: count, missing: listOf(missingSource) }),
    ),
    hashedBytes: count,
    entries: count,
  },
  copy: { op: text, files: count, bytes: count },
  read: { op: text, files: listOf(orNull(text)) },
  find: {
    op: text,
    files: listOf(exactly({ path: text, size: count })),
    sections: listOf(exactly({ path: text, name: text, data: text })),
    incomplete: flag,
  },
  apply: { op: text, diffId: text, unpackedBytes: count, entries: count },
  diff: { op: text, ...writtenLayer, entries: count },
  convert: { op: text, ...writtenLayer },
  concat: { op: text, bytes: count },
  merge: { op: text, linked: count, copiedBytes: count, directories: count },
  export: { op: text, files: count, bytes: count },
  run: {
    op: text,
    exitCode: count,
    signal: orNull(count),
    exceeded: orNull(exactly({ resource: oneOf('memory', 'pids'), owner: oneOf('run', 'session') })),
    userMicros: count,
    systemMicros: count,
    peakMemoryBytes: count,
    readBytes: count,
    writtenBytes: count,
  },
  session: { op: text },
  content: { op: text, digests: listOf(orNull(text)) },
  sync: { op: text },
  remove: { op: text },
  usage: { op: text, bytes: listOf(count) },
}

const outcome: Shape = (value) =>
  isRecord(value) && typeof value.op === 'string' && Object.hasOwn(outcomes, value.op)
    ? exactly(outcomes[value.op as Outcome['op']])(value)
    : false

const kind = oneOf('user', 'environment', 'internal')

const replies: Readonly<Record<Reply['event'], Members>> = {
  started: { event: text, pid: count },
  session: {
    event: text,
    pid: count,
    cgroups: listOf(cgroup),
    unlimited: listOf(exactly({ limit: text, reason: text })),
  },
  connected: { event: text, dns: text, address: text },
  progress: { event: text, bytes: count },
  warning: { event: text, code: text, message: text },
  result: { event: text, result: outcome },
  content: { event: text, digest: orNull(text) },
  layer: { event: text, ...writtenLayer },
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
    if (exactly(replies[value.event as Reply['event']])(value)) return value as unknown as Reply
  }
  throw new InternalError(
    'ERR_HELPER_PROTOCOL',
    `Cannot read the helper's reply: ${JSON.stringify(line.slice(0, 200))}`,
  )
}
