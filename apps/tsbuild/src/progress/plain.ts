import { StringDecoder } from 'node:string_decoder'
import { visible, visibleLog } from '@tsbuild/command-line'
import type { BuildEvent, Millis } from '@tsbuild/events'
import type { Display } from './display.ts'
import { formatOffset, formatSeconds, formatStatus } from './format.ts'
import { savedNote, summaryOf } from './summary.ts'
import { createTrace, type TraceStatus, type TraceVertex, updateTrace } from './trace.ts'
import { notableUsage } from './usage.ts'

/** The shown block is given up for another one that has lines after this long, so that no step stays unseen. */
const fairnessMs = 5_000
/** A status line comes again after a second when it moved by a twentieth, and otherwise after five. */
const statusPauseMs = 1_000
const statusIntervalMs = 5_000
const statusShare = 0.05
/** A log line is cut into pieces of this many characters, for programs that never end a line. */
const longestLine = 64 * 1024

/** What plain text must remember of a vertex besides its trace. */
interface Block {
  readonly vertex: TraceVertex
  /** `#3`, in the order in which they begin; the history of the build has the same. */
  readonly number: number
  /** Lines not shown yet, complete, without their number. */
  lines: string[]
  /** A log line without its end yet, with its time; one for each stream, so that they do not run into each other. */
  readonly partial: Record<'stdout' | 'stderr', { text: string; readonly decoder: StringDecoder }>
  readonly shownStatuses: Map<string, TraceStatus>
  /** When the oldest of `lines` was held back, or the block last shown. */
  since: Millis
}

/**
 * The plain progress of BuildKit: blocks of numbered lines, one vertex at a time, `#N ...` where a block is left while its
 * vertex still runs. The block of a running vertex stays until the vertex ends or another one has waited for 5 s.
 *
 * @param write takes whole lines
 */
export function createPlainDisplay(write: (text: string) => void): Display {
  const trace = createTrace()
  const blocks = new Map<TraceVertex, Block>()
  let current: Block | undefined
  let begun = 0
  let blockSince = 0
  let first = true

  const show = (block: Block, now: Millis): void => {
    if (current !== block) {
      if (current !== undefined) write(`#${current.number} ...\n`)
      if (!first) write('\n')
      first = false
      write(`#${block.number} ${visible(block.vertex.name)}\n`)
      current = block
      blockSince = now
    }
    if (block.lines.length > 0) write(block.lines.map((line) => `#${block.number} ${line}\n`).join(''))
    block.lines = []
    if (block.vertex.end !== undefined) {
      write(`#${block.number} ${endLine(block.vertex)}\n`)
      current = undefined
    }
  }
  const waiting = (): Block | undefined => {
    let longest: Block | undefined
    for (const block of blocks.values()) {
      if (block === current || block.lines.length === 0) continue
      if (longest === undefined || block.since < longest.since) longest = block
    }
    return longest
  }
  const tick = (now: Millis): void => {
    const next = waiting()
    if (next === undefined) return
    if (current === undefined || (now - next.since >= fairnessMs && now - blockSince >= fairnessMs))
      show(next, now)
  }
  const update = (event: BuildEvent): void => {
    const vertex = updateTrace(trace, event)
    if (vertex === undefined || !isShown(vertex)) return
    const block = blocks.get(vertex) ?? newBlock(vertex, ++begun, event.at)
    blocks.set(vertex, block)
    if (block.lines.length === 0) block.since = event.at
    addLines(block, event)
    if (vertex.end !== undefined) {
      flushPartial(block)
      show(block, event.at)
      blocks.delete(vertex)
      const open = waiting() ?? blocks.values().next().value
      if (current === undefined && open !== undefined) show(open, event.at)
    } else if (current === undefined || current === block) show(block, event.at)
    else tick(event.at)
  }
  return {
    update,
    tick,
    end(now) {
      for (const block of blocks.values()) {
        flushPartial(block)
        if (block.lines.length > 0) show(block, now)
      }
      const summary = summaryOf(trace)
      if (summary !== undefined) write(`${first ? '' : '\n'}${summary}\n`)
    },
  }
}

/** A step is shown from the moment that it is known to run, here or in the process that it waits for. */
function isShown({ startedAt, miss, waiting, end }: TraceVertex): boolean {
  return startedAt !== undefined || miss !== undefined || waiting !== undefined || end !== undefined
}

function newBlock(vertex: TraceVertex, number: number, since: Millis): Block {
  const partial = () => ({ text: '', decoder: new StringDecoder('utf8') })
  return {
    vertex,
    number,
    lines: [],
    partial: { stdout: partial(), stderr: partial() },
    shownStatuses: new Map(),
    since,
  }
}

function addLines(block: Block, event: BuildEvent): void {
  if (event.type === 'vertex.log') addLog(block, event)
  else if (event.type === 'vertex.usage') {
    // Its process has ended: what it wrote last is complete.
    flushPartial(block)
    const used = notableUsage(event)
    if (used !== undefined) block.lines.push(used)
  } else if (event.type === 'vertex.missed') block.lines.push(visible(`MISS: ${event.reason.text}`))
  else if (event.type === 'vertex.waiting') block.lines.push(visible(`waiting: ${event.reason}`))
  else if (event.type === 'vertex.status') {
    const status = block.vertex.statuses.get(event.id)
    if (status === undefined || !isNews(status, block.shownStatuses.get(event.id))) return
    block.shownStatuses.set(event.id, { ...status })
    block.lines.push(visible(statusLine(status)))
  }
}

function addLog(block: Block, event: BuildEvent & { type: 'vertex.log' }): void {
  const offset = formatOffset(Math.max(0, event.at - (block.vertex.startedAt ?? event.at)))
  const partial = block.partial[event.stream]
  const lines = partial.decoder.write(Buffer.from(event.data)).split('\n')
  const last = lines.pop() ?? ''
  for (const line of lines) {
    block.lines.push(visibleLog(`${partial.text === '' ? `${offset} ` : partial.text}${line}`))
    partial.text = ''
  }
  if (last !== '') partial.text = `${partial.text === '' ? `${offset} ` : partial.text}${last}`
  if (partial.text.length > longestLine) {
    block.lines.push(visibleLog(partial.text))
    partial.text = ''
  }
}

function flushPartial(block: Block): void {
  for (const stream of ['stdout', 'stderr'] as const) {
    const partial = block.partial[stream]
    const text = partial.text + partial.decoder.end()
    if (text !== '') block.lines.push(visibleLog(text))
    partial.text = ''
  }
}

function isNews(status: TraceStatus, shown: TraceStatus | undefined): boolean {
  if (shown === undefined || status.done) return shown?.done !== true
  const pause = status.at - shown.at
  if (pause < statusPauseMs) return false
  const total = status.totalBytes ?? 0
  const share = total > 0 ? (status.currentBytes - shown.currentBytes) / total : 0
  return share >= statusShare || pause >= statusIntervalMs
}

function statusLine(status: TraceStatus): string {
  const bytes = formatStatus(status)
  const ms = status.at - status.startedAt
  const parts = [status.id, bytes, ms > 10 ? formatSeconds(ms) : '', status.done ? 'done' : '']
  return parts.filter((part) => part !== '').join(' ')
}

function endLine(vertex: TraceVertex): string {
  const { end, startedAt } = vertex
  switch (end?.kind) {
    case 'cached':
      return `CACHED${savedNote(end.savedMs)}`
    case 'cancelled':
      return 'CANCELED'
    case 'failed':
      return visible(`ERROR: ${end.error}`)
    default:
      return [
        end?.kind === 'unchanged' ? 'UNCHANGED' : 'DONE',
        ...(startedAt === undefined || end === undefined ? [] : [formatSeconds(end.at - startedAt)]),
      ].join(' ')
  }
}
