import type { Digest } from '@tsbuild/digest'
import type { Millis } from '@tsbuild/events'
import { type Palette, paint, type Role } from './colors.ts'
import { formatSeconds, formatStatus, oneLine } from './format.ts'
import { savedNote, summaryOf } from './summary.ts'
import { cutToWidth, displayWidth } from './text-width.ts'
import { endedWell, type Trace, type TraceVertex } from './trace.ts'

/** What a frame of the live view is drawn with. */
export interface FrameOptions {
  readonly width: number
  readonly height: number
  readonly now: Millis
  readonly palette: Palette
  /** The last log lines of running vertexes, oldest first. */
  readonly logs: ReadonlyMap<Digest, readonly string[]>
  /** The last frame: every step, however high it gets, and no logs. */
  readonly final: boolean
}

/** The lines of one vertex. */
interface Group {
  readonly running: boolean
  readonly lines: readonly string[]
  readonly logs: readonly string[]
}

/** Below this a timer is noise. */
const shortestMs = 50
/** A log window opens only where it leaves this many lines free for finished steps. */
const spareLines = 2

/**
 * Draws a build as lines of a terminal, none wider than `width`; at most `height - 1` of them where the frame is not the
 * final one. First the header, then started steps in the order they started: running ones with their transfers and, where
 * there is room, their last log lines; of the finished ones the latest that fit.
 */
export function drawFrame(trace: Trace, options: FrameOptions): readonly string[] {
  const started = [...trace.vertexes.values()].filter(
    (vertex) => vertex.startedAt !== undefined || vertex.waiting !== undefined || vertex.end,
  )
  started.sort((a, b) => startOf(a) - startOf(b))
  const groups = started.map((vertex) => drawVertex(vertex, options))
  const warnings =
    trace.warnings.length === 0 || options.final ? [] : [warningLine(trace.warnings.length, options)]
  const shown = options.final
    ? groups.map((group) => group.lines)
    : fit(groups, options.height - 2 - warnings.length)
  const summary = options.final ? summaryOf(trace) : undefined
  const last = summary === undefined ? [] : [cutToWidth(` ${summary}`, options.width)]
  return [headerLine(trace, options), ...shown.flat(), ...warnings, ...last]
}

function startOf(vertex: TraceVertex): Millis {
  return vertex.startedAt ?? vertex.waitingSince ?? vertex.end?.at ?? 0
}

function headerLine(trace: Trace, { now, width, final }: FrameOptions): string {
  const all = [...trace.vertexes.values()]
  const done = all.filter((vertex) => vertex.end !== undefined)
  const well = all.length > 0 && all.every(endedWell)
  const time = formatSeconds(now - (trace.startedAt ?? now))
  return cutToWidth(
    `[+] Building ${time} (${done.length}/${all.length})${final && well ? ' FINISHED' : ''}`,
    width,
  )
}

function warningLine(count: number, options: FrameOptions): string {
  const text = ` ${count} ${count === 1 ? 'warning' : 'warnings'}`
  return paint(options.palette, 'warning', cutToWidth(text, options.width))
}

/** Chooses what fits: running steps first, then their log windows, then the latest finished steps. */
function fit(groups: readonly Group[], height: number): readonly (readonly string[])[] {
  let room = Math.max(0, height)
  const shown = new Map<Group, readonly string[]>()
  for (const group of groups) {
    if (!group.running) continue
    const lines = group.lines.slice(0, room)
    shown.set(group, lines)
    room -= lines.length
  }
  for (const group of groups) {
    if (group.logs.length === 0 || group.logs.length + spareLines > room) continue
    shown.set(group, [...(shown.get(group) ?? []), ...group.logs])
    room -= group.logs.length
  }
  for (const group of groups.toReversed()) {
    if (group.running || group.lines.length > room) continue
    shown.set(group, group.lines)
    room -= group.lines.length
  }
  return groups.map((group) => shown.get(group) ?? [])
}

const endWords = {
  completed: '',
  unchanged: 'UNCHANGED ',
  cached: 'CACHED ',
  cancelled: 'CANCELED ',
  failed: 'ERROR ',
} as const
const endRoles = {
  completed: 'run',
  unchanged: 'run',
  cached: 'run',
  cancelled: 'cancel',
  failed: 'error',
} as const

function drawVertex(vertex: TraceVertex, options: FrameOptions): Group {
  const { end } = vertex
  const running = end === undefined
  const name = `${running ? '' : endWords[end.kind]}${oneLine(vertex.name)}`
  const note = noteOf(vertex)
  const ms = (end?.at ?? options.now) - startOf(vertex)
  const lines = [stepLine({ name, note, ms, role: running ? undefined : endRoles[end.kind] }, options)]
  for (const status of vertex.statuses.values()) {
    const transfer = formatStatus(status)
    const statusMs = (status.done || !running ? status.at : options.now) - status.startedAt
    const role = status.done || !running ? 'run' : undefined
    lines.push(stepLine({ name: `=> ${oneLine(status.id)}`, note: transfer, ms: statusMs, role }, options))
  }
  const logs = running ? (options.logs.get(vertex.digest) ?? []) : []
  return { running, lines, logs: logs.map((line) => logLine(line, options)) }
}

function noteOf({ end, waiting, miss }: TraceVertex): string {
  if (end === undefined && waiting !== undefined) return `waiting: ${oneLine(waiting)}`
  if (end?.kind === 'cached') return savedNote(end.savedMs).trim()
  return miss === undefined ? '' : `MISS: ${oneLine(miss)}`
}

interface StepLine {
  readonly name: string
  readonly note: string
  readonly ms: Millis
  readonly role: Role | undefined
}

/** ` => name note          1.2s`: the name gives way first, then the note. */
function stepLine({ name, note, ms, role }: StepLine, { width, palette }: FrameOptions): string {
  const timer = formatSeconds(ms < shortestMs ? 0 : ms)
  const left = Math.max(0, width - displayWidth(timer) - 1)
  const noteWidth = note === '' ? 0 : displayWidth(note) + 1
  const withNote = noteWidth > 0 && left - noteWidth >= 20
  const head = cutToWidth(` => ${name}`, withNote ? left - noteWidth : left)
  const shownNote = withNote ? ` ${note}` : ''
  const room = ' '.repeat(Math.max(0, left - displayWidth(head) - displayWidth(shownNote)))
  const line = `${head}${shownNote}${room} ${timer}`
  const colour = (text: string) => (role === undefined ? text : paint(palette, role, text))
  if (displayWidth(line) > width || shownNote === '') return colour(cutToWidth(line, width))
  return `${colour(head)}${paint(palette, 'faint', shownNote)}${colour(`${room} ${timer}`)}`
}

function logLine(line: string, { width, palette }: FrameOptions): string {
  return paint(palette, 'faint', cutToWidth(` => => # ${oneLine(line)}`, width))
}
