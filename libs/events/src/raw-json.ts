import type { Digest } from '@tsbuild/digest'
import type { SourceRange } from '@tsbuild/errors'
import type { BuildEvent, EventSink, Millis } from './events.ts'

/** What BuildKit's progress readers look for at the end of a vertex's error to show it as cancelled. */
const cancelledError = 'context canceled'

interface RawVertex {
  readonly digest: Digest
  readonly inputs?: readonly Digest[]
  readonly name: string
  readonly started?: string
  readonly completed?: string
  readonly cached?: true
  readonly error?: string
}

/**
 * Gives a sink that writes events as BuildKit's `--progress=rawjson` does: one `client.SolveStatus` a line, with Go's
 * field names and times. Events that BuildKit has no words for (`build.*`, `vertex.missed`, `vertex.waiting`) write nothing, except that
 * a cancelled vertex ends in the error `context canceled` as there.
 *
 * @param write takes one line with its line feed; must not throw
 * @see https://github.com/moby/buildkit/blob/master/client/graph.go
 */
export function createRawJsonWriter(write: (line: string) => void): EventSink {
  const vertexes = new Map<Digest, RawVertex>()
  const statusStarts = new Map<string, Millis>()
  let definition: Digest | undefined

  const putVertex = (digest: Digest, change: Partial<RawVertex>): object => {
    const { digest: _, inputs, name = digest, started, ...end } = { ...vertexes.get(digest), ...change }
    // In the order of Go's struct, so that lines compare as text with BuildKit's.
    const vertex: RawVertex = {
      digest,
      ...(inputs === undefined ? {} : { inputs }),
      name,
      ...(started === undefined ? {} : { started }),
      ...end,
    }
    vertexes.set(digest, vertex)
    return { vertexes: [vertex] }
  }
  const startedAt = (digest: Digest, at: Millis): string => vertexes.get(digest)?.started ?? goTime(at)

  const solveStatus = (event: BuildEvent): object | undefined => {
    switch (event.type) {
      case 'vertex.planned':
        if (event.name.startsWith('[internal] load build definition')) definition ??= event.vertex
        return putVertex(event.vertex, {
          ...(event.inputs.length === 0 ? {} : { inputs: event.inputs }),
          name: event.name,
        })
      case 'vertex.started':
        return putVertex(event.vertex, { started: goTime(event.at) })
      case 'vertex.cached':
        return putVertex(event.vertex, {
          started: startedAt(event.vertex, event.at),
          completed: goTime(event.at),
          cached: true,
        })
      case 'vertex.completed':
        return putVertex(event.vertex, {
          started: startedAt(event.vertex, event.at),
          completed: goTime(event.at),
        })
      case 'vertex.failed':
      case 'vertex.cancelled':
        return putVertex(event.vertex, {
          started: startedAt(event.vertex, event.at),
          completed: goTime(event.at),
          error: event.type === 'vertex.failed' ? event.error : cancelledError,
        })
      case 'vertex.status': {
        const key = `${event.vertex} ${event.id}`
        const started = statusStarts.get(key) ?? event.at
        statusStarts.set(key, started)
        return { statuses: [rawStatus(event, started)] }
      }
      case 'vertex.log':
        return { logs: [rawLog(event)] }
      case 'warning':
        return { warnings: [toRawWarning(event, definition)] }
      case 'build.started':
      case 'build.completed':
      case 'build.failed':
      case 'vertex.missed':
      case 'vertex.waiting':
      // BuildKit's form has no place for it.
      case 'vertex.usage':
        return undefined
    }
  }
  return (event) => {
    const status = solveStatus(event)
    if (status !== undefined) write(`${JSON.stringify(status)}\n`)
  }
}

function rawStatus(event: BuildEvent & { type: 'vertex.status' }, started: Millis): object {
  return {
    id: event.id,
    vertex: event.vertex,
    ...(event.totalBytes === null || event.totalBytes === 0 ? {} : { total: event.totalBytes }),
    current: event.currentBytes,
    timestamp: goTime(event.at),
    started: goTime(started),
    ...(event.done ? { completed: goTime(event.at) } : {}),
  }
}

function rawLog(event: BuildEvent & { type: 'vertex.log' }): object {
  return {
    vertex: event.vertex,
    stream: event.stream === 'stdout' ? 1 : 2,
    data: Buffer.from(event.data).toString('base64'),
    timestamp: goTime(event.at),
  }
}

/**
 * A warning as BuildKit writes it, for `rawjson` and for metadata.
 *
 * @param definition the vertex that loaded the Dockerfile, which BuildKit's linter puts its warnings on
 */
export function toRawWarning(
  event: BuildEvent & { type: 'warning' },
  definition: Digest | undefined,
): object {
  const { source, summary, page } = event
  const place = source === null ? '' : ` (line ${source.startLine})`
  return {
    ...(definition === undefined ? {} : { vertex: definition }),
    level: 1,
    short: Buffer.from(`${event.rule}: ${event.message}${place}`).toString('base64'),
    ...(summary === undefined ? {} : { detail: [Buffer.from(summary).toString('base64')] }),
    ...(page === undefined ? {} : { url: page }),
    ...(source === null ? {} : { sourceInfo: { filename: source.file }, range: [rawRange(source)] }),
  }
}

function rawRange(source: SourceRange): object {
  return {
    start: rawPosition(source.startLine, source.startColumn),
    end: rawPosition(source.endLine, source.endColumn),
  }
}

/** Go leaves a zero out (`omitempty`). */
function rawPosition(line: number, character: number): object {
  return { line, ...(character === 0 ? {} : { character }) }
}

/** RFC3339Nano as Go writes it: no trailing zeros in the fraction, none at all where it is zero. */
function goTime(at: Millis): string {
  return new Date(at).toISOString().replace(/\.?0*Z$/, 'Z')
}
