import type { BuildRecord, BuildStep } from '@tsbuild/builder'
import { visible } from '@tsbuild/command-line'
import { criticalPath } from './critical-path.ts'
import { buildMs, countSteps, formatDuration, stepMs } from './numbers.ts'
import { reportStyle } from './report-style.ts'
import { detailsOf, errorLines, headRows, notReachedText } from './show-text.ts'

/** About so many times are marked on the axis. */
const wantedTicks = 8
/** Distances between them, in ms. */
const tickSteps = [
  10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000,
  1_800_000, 3_600_000, 7_200_000, 14_400_000, 43_200_000, 86_400_000,
]

/** One build as a page of its own: nothing is loaded, nothing runs in it, and no text of the build is markup. */
export function reportHtml(build: BuildRecord, now: number): string {
  const name = text(build.name)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${name}: ${text(build.outcome)}</title>
<style>${reportStyle}</style>
</head>
<body>
<h1>${name} <span class="status ${build.outcome}">${text(build.outcome)}</span></h1>
${tiles(build, now)}
${errorPart(build)}
${waterfall(build, now)}
${warningsPart(build)}
<h2>Build</h2>
<table class="facts">
${headRows(build, now)
  .map(([label, value]) => `<tr><th>${text(label)}</th><td>${text(value)}</td></tr>`)
  .join('\n')}
</table>
</body>
</html>
`
}

function tiles(build: BuildRecord, now: number): string {
  const { ran, cached, savedMs } = countSteps(build)
  const all: readonly (readonly [string, string])[] = [
    ['duration', formatDuration(buildMs(build, now))],
    ['steps ran', String(ran)],
    ['from the cache', String(cached)],
    ['saved by the cache', formatDuration(savedMs)],
    ['warnings', String(build.warnings.length)],
  ]
  const items = all.map(([label, value]) => `<li><b>${text(value)}</b> ${text(label)}</li>`)
  return `<ul class="tiles">${items.join('')}</ul>`
}

/** When things happened, as shares of the whole time. */
interface Scale {
  readonly spanMs: number
  readonly share: (at: number) => number
}

function scaleOf(build: BuildRecord, now: number): Scale {
  const ends = build.steps.flatMap(({ startedAt, endedAt }) => [startedAt ?? 0, endedAt ?? 0])
  const end = Math.max(build.endedAt ?? (build.outcome === 'running' ? now : 0), ...ends, build.startedAt + 1)
  const spanMs = end - build.startedAt
  const share = (at: number) => Math.min(100, Math.max(0, ((at - build.startedAt) / spanMs) * 100))
  return { spanMs, share }
}

function waterfall(build: BuildRecord, now: number): string {
  const scale = scaleOf(build, now)
  const critical = criticalPath(build)
  const rows = build.steps.map((step) =>
    stepRow(step, { build, scale, now, isCritical: critical.has(step.vertex) }),
  )
  return `<h2>Steps</h2>
<p class="legend"><i class="completed"></i> ran <i class="completed critical"></i> ran, and the build waited for it
<i class="cached"></i> from the cache <i class="failed"></i> failed <i class="cancelled"></i> given up <i class="internal"></i> not of the Dockerfile</p>
<div class="steps">
<div class="axis"><span></span><div class="time">${ticks(scale)}</div></div>
${rows.join('\n')}
</div>`
}

function ticks({ spanMs }: Scale): string {
  const distance = tickSteps.find((step) => spanMs / step <= wantedTicks) ?? Math.ceil(spanMs / wantedTicks)
  const marks: string[] = []
  // The last one would stand in the way of the border.
  for (let ms = 0; ms < spanMs * 0.97; ms += distance)
    marks.push(`<span style="left:${percent((ms / spanMs) * 100)}">${tickText(ms)}</span>`)
  return marks.join('')
}

function tickText(ms: number): string {
  if (ms === 0) return '0'
  if (ms < 60_000) return `${ms / 1000}s`
  const [minutes, rest] = [Math.floor(ms / 60_000), Math.round((ms % 60_000) / 1000)]
  return rest === 0 ? `${minutes}m` : `${minutes}m${String(rest).padStart(2, '0')}s`
}

interface RowParts {
  readonly build: BuildRecord
  readonly scale: Scale
  readonly now: number
  readonly isCritical: boolean
}

function stepRow(step: BuildStep, { build, scale, now, isCritical }: RowParts): string {
  const outcome = step.outcome === 'not-reached' ? notReachedText(build) : step.outcome
  const ms = stepMs(step, now)
  const reason = step.miss === null ? '' : `<span class="miss">${text(step.miss.text)}</span>`
  const facts = [
    outcome,
    ...(ms === undefined ? [] : [formatDuration(ms)]),
    ...detailsOf(step, Number.POSITIVE_INFINITY),
  ]
  const classes = [step.role === 'step' ? '' : 'other', step.outcome].filter((one) => one !== '').join(' ')
  return `<details class="${classes}"><summary><span class="name"><b>${step.number}</b> ${text(oneLine(step.name))}${reason}</span>
<div class="time">${bar(step, scale, { ms, now, isCritical })}</div></summary>
<pre>${text([step.name, ...facts].join('\n'))}</pre></details>`
}

function bar(
  step: BuildStep,
  { share }: Scale,
  {
    ms,
    now,
    isCritical,
  }: { readonly ms: number | undefined; readonly now: number; readonly isCritical: boolean },
): string {
  if (step.outcome === 'cached') {
    const label = step.savedMs === null ? '' : `saved ${formatDuration(step.savedMs)}`
    return mark('cached', share(step.endedAt ?? 0), 0, label)
  }
  if (step.startedAt === null) return ''
  const left = share(step.startedAt)
  const kind = step.role === 'step' ? step.outcome : `${step.outcome} internal`
  const width = share(step.endedAt ?? now) - left
  return mark(`${kind}${isCritical ? ' critical' : ''}`, left, width, formatDuration(ms))
}

/** The label stands where there is room: after the bar, or before it. */
function mark(kind: string, left: number, width: number, label: string): string {
  const after = left + width < 82
  const place = after ? `left:${percent(left + width)}` : `right:${percent(100 - left)}`
  return `<i class="${kind}" style="left:${percent(left)};width:${percent(width)}"></i><span style="${place}">${text(label)}</span>`
}

function percent(share: number): string {
  return `${Number(share.toFixed(3))}%`
}

function errorPart(build: BuildRecord): string {
  const lines = errorLines(build)
  return lines.length === 0 ? '' : `<h2>Error</h2>\n<pre class="error">${text(lines.join('\n'))}</pre>`
}

function warningsPart({ warnings }: BuildRecord): string {
  if (warnings.length === 0) return ''
  const items = warnings.map(({ rule, message, source }) => {
    const place = source === null ? '' : ` <span>${text(`${source.file}:${source.startLine}`)}</span>`
    return `<li><b>${text(rule)}</b> ${text(message)}${place}</li>`
  })
  return `<h2>Warnings</h2>\n<ul class="warnings">${items.join('\n')}</ul>`
}

function oneLine(name: string): string {
  return name.replace(/\s+/g, ' ')
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Untrusted text, for content and for quoted attributes. */
function text(value: string): string {
  return visible(value).replace(/[&<>"']/g, (character) => entities[character] ?? character)
}
