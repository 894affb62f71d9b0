import type { BuildFailure, BuildRecord, BuildStep } from '@tsbuild/builder'
import { formatAge, formatTable, visible } from '@tsbuild/command-line'
import { sizeText } from '@tsbuild/errors'
import { formatBytes, formatSeconds, formatStatus } from '../progress/format.ts'
import { buildMs, countSteps, formatDuration, stepMs } from './numbers.ts'

/** A name is shown up to here; a heredoc has many lines. */
const longestName = 100
/** Parts of a step that took less than this are left out, but for what they moved. */
const notableTransferMs = 10

/** Everything that is known of a build, as text for people. */
export function showText(build: BuildRecord, now: number): string {
  const parts = [headText(build, now), stepsText(build, now), warningsText(build), errorText(build)]
  return visible(parts.filter((part) => part !== '').join('\n'))
}

function headText(build: BuildRecord, now: number): string {
  return formatTable(headRows(build, now))
}

/** What is known of the whole build, with its labels. */
export function headRows(build: BuildRecord, now: number): readonly (readonly [string, string])[] {
  const { ref, name, request, outcome, startedAt, image, version, machine, pid } = build
  const started = new Date(startedAt).toISOString()
  const rows: readonly (readonly [string, string | null])[] = [
    ['Build', ref],
    ['Name', name],
    ['Status', outcome === 'died' ? 'died: its process ended before it did' : outcome],
    ['Started', `${started} (${formatAge(started, now)})`],
    ['Duration', formatDuration(buildMs(build, now))],
    ['Steps', countsText(build)],
    ['Context', request.context],
    ['Dockerfile', request.dockerfile],
    ['Target', request.target],
    ['Tags', request.tags.join(', ') || null],
    ['Flags', request.flags.join(' ') || null],
    ['Image', image?.digest ?? null],
    ['Image id', image?.configDigest ?? null],
    ['By', `tsbuild ${version} on ${machine}, process ${pid}`],
  ]
  return rows.flatMap(([label, value]) => (value === null ? [] : [[label, value] as const]))
}

function countsText(build: BuildRecord): string {
  const { total, cached, ran, notReached, savedMs } = countSteps(build)
  const saved = savedMs > 0 ? `, which saved ${formatDuration(savedMs)}` : ''
  const rest = notReached > 0 ? `, ${notReached} ${notReachedText(build)}` : ''
  return `${total}: ${ran} ran, ${cached} from the cache${saved}${rest}`
}

/** A build that found what it was asked for did not look for what that was made of. */
export function notReachedText({ outcome }: Pick<BuildRecord, 'outcome'>): string {
  return outcome === 'completed' ? 'not needed' : 'not reached'
}

function stepsText({ steps, startedAt, outcome }: BuildRecord, now: number): string {
  const rows = steps.map((step) => ({
    cells: [
      String(step.number),
      step.outcome === 'not-reached' ? notReachedText({ outcome }) : step.outcome,
      step.startedAt === null ? '-' : `+${formatSeconds(Math.max(0, step.startedAt - startedAt))}`,
      formatDuration(stepMs(step, now)),
      oneLine(step.name),
    ],
    details: detailsOf(step),
  }))
  const header = ['#', 'STATUS', 'START', 'TIME', 'STEP']
  const lines = formatTable([header, ...rows.map(({ cells }) => cells)]).split('\n')
  return lines
    .flatMap((line, index) => [line, ...(rows[index - 1]?.details ?? []).map((detail) => `       ${detail}`)])
    .join('\n')
}

/** What there is to say of a step besides its outcome and times. @param longest texts are cut to so many characters */
export function detailsOf(step: BuildStep, longest = longestName): readonly string[] {
  const { source, miss, savedMs, from, waitedFor, usage, transfers, log, error } = step
  const moved = transfers.filter(
    ({ currentBytes, startedAt, at, outcome }) =>
      currentBytes > 0 || outcome !== undefined || at - startedAt >= notableTransferMs,
  )
  return [
    ...(source === null || step.role !== 'step' ? [] : [`at ${source.file}:${source.startLine}`]),
    ...(miss === null ? [] : [`missed: ${miss.text}`]),
    ...(savedMs === null ? [] : [`saved ${formatDuration(savedMs)}`]),
    ...(from === 'remote' ? ['from a remote cache'] : []),
    ...(waitedFor === null ? [] : [`waited: ${waitedFor}`]),
    ...(usage === null ? [] : [usageText(usage)]),
    ...moved.map((transfer) => {
      const { id, startedAt, at, done } = transfer
      const parts = [id, formatStatus(transfer), formatSeconds(at - startedAt)]
      return `${parts.filter((part) => part !== '').join(' ')}${done ? '' : ', not finished'}`
    }),
    ...(log.bytes === 0 ? [] : [`wrote ${sizeText(log.bytes)}`]),
    ...(log.lostBytes === 0 ? [] : [`wrote ${sizeText(log.lostBytes)} that are not kept: the disk was full`]),
    ...(error === null ? [] : [`error: ${oneLine(error, longest)}`]),
  ]
}

function usageText(usage: NonNullable<BuildStep['usage']>): string {
  const { userMicros, systemMicros, peakMemoryBytes, readBytes, writtenBytes } = usage
  const io =
    readBytes + writtenBytes === 0
      ? ''
      : `, ${formatBytes(readBytes)} read and ${formatBytes(writtenBytes)} written`
  return `used ${formatSeconds((userMicros + systemMicros) / 1000)} of CPU, ${formatBytes(peakMemoryBytes)} of memory${io}`
}

function warningsText({ warnings }: BuildRecord): string {
  if (warnings.length === 0) return ''
  const lines = warnings.map(({ rule, message, source }) => {
    const place = source === null ? '' : ` (${source.file}:${source.startLine})`
    return `  ${rule}: ${oneLine(message)}${place}`
  })
  return `Warnings:\n${lines.join('\n')}\n`
}

function errorText(build: BuildRecord): string {
  return errorLines(build)
    .map((line) => `${line}\n`)
    .join('')
}

/** What a build failed with, and where its output is; none where it did not. */
export function errorLines({ error, ref, steps }: BuildRecord): readonly string[] {
  if (error === null) return []
  const failed = steps.find(({ outcome, log }) => outcome === 'failed' && log.bytes > 0)
  return [
    `Error: ${error.message}  [${error.code}]`,
    ...placeOf(error),
    ...error.hints.map((hint) => `Hint: ${hint}`),
    ...(failed === undefined ? [] : [`Its output: \`tsbuild logs ${ref.slice(0, 12)} ${failed.number}\``]),
  ]
}

function placeOf({ source, excerpt }: BuildFailure): readonly string[] {
  if (source === null) return []
  const lines = (excerpt?.lines ?? []).map((line, index) => {
    const number = (excerpt?.firstLine ?? 1) + index
    const mark = number >= source.startLine && number <= source.endLine ? '>>>' : '   '
    return `${String(number).padStart(4)} | ${mark} ${line}`.trimEnd()
  })
  return [`${source.file}:${source.startLine}`, ...lines]
}

function oneLine(text: string, longest = longestName): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length > longest ? `${line.slice(0, longest - 1)}…` : line
}
