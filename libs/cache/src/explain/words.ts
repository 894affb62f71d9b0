import type { MissCode, MissReason } from '@tsbuild/events'
import { placeOf } from './identities.ts'
import type { Difference, FileChange, ImageName } from './types.ts'

/** What a progress line has room for. */
export const longestReason = 60

/** What is most telling first: an image that moved brings its own variables, another platform another image. */
const order: readonly Difference['kind'][] = [
  'version',
  'instruction',
  'secret',
  'image',
  'arg',
  'command',
  'setting',
  'mount',
  'env',
  'files',
  'input',
  'step',
]

/** A reason's text in a progress line's room: the most telling difference, and how many more there are. */
export function reasonOf(differences: readonly Difference[]): MissReason | undefined {
  const sorted = differences.toSorted((a, b) => rankOf(a) - rankOf(b))
  const [first] = sorted
  if (first === undefined) return undefined
  const things = sorted.reduce((sum, difference) => sum + countOf(difference), 0)
  const suffix = things > 1 ? ` and ${things - 1} more` : ''
  const room = longestReason - suffix.length
  return { code: codeOf(first), text: `${cut(headline(first, room), room)}${suffix}` }
}

function rankOf(difference: Difference): number {
  // Another platform comes with another image.
  if (difference.kind === 'setting' && difference.name === 'platform') return order.indexOf('image') - 0.5
  return order.indexOf(difference.kind)
}

/** How many things a difference stands for: each file is one. */
export function countOf(difference: Difference): number {
  return difference.kind === 'files' ? Math.max(1, difference.total) : 1
}

/** What a difference comes from. */
function codeOf(difference: Difference): MissCode {
  switch (difference.kind) {
    case 'arg':
    case 'env':
    case 'secret':
    case 'files':
      return difference.kind
    case 'image':
      return 'base-image'
    case 'step':
    case 'input':
      return 'input'
    case 'command':
    case 'instruction':
    case 'setting':
    case 'mount':
    case 'version':
      return 'instruction'
  }
}

/** A difference in a few words. */
function headline(difference: Difference, room = longestReason): string {
  switch (difference.kind) {
    case 'version':
      return 'recorded by another version of tsbuild'
    case 'instruction':
      return quoting('the line was', difference.before, room)
    case 'secret':
      return `secret ${difference.id} changed`
    case 'image':
      return imageWords(difference)
    case 'arg':
    case 'env':
      return variableWords(difference)
    case 'command':
      return commandWords(difference, room)
    case 'setting':
      return changeWords(difference.name, difference.before, difference.after)
    case 'mount':
      return mountWords(difference)
    case 'files':
      return filesWords(difference, room)
    case 'input':
      return inputWords(difference)
    case 'step':
      return `${titleOf(difference.name)} made something else`
  }
}

function imageWords({ role, before, after }: Difference & { readonly kind: 'image' }): string {
  const what = role === 'base' ? 'base' : 'image'
  const [was, is] = [before, after].map((image) => (image === null ? null : familiar(image)))
  if (is === null || is === undefined) return `${what} was ${was}`
  if (was === null || was === undefined || was === '') return `${what} is ${is}`
  return was === is ? `${what} ${is} moved` : `${what} ${was} → ${is}`
}

/** Without Docker's registry and folder, as people write it. */
function familiar({ reference, manifest }: ImageName): string {
  const name = reference.replace(/^docker\.io\/(?:library\/(?=[^/]*$))?/, '')
  return name === '' ? manifest.slice(0, 'sha256:'.length + 12) : name
}

function variableWords({ kind, name, before, after, hidden }: Difference & { kind: 'arg' | 'env' }): string {
  const word = `${kind.toUpperCase()} ${name}`
  if (hidden) return `${word} changed`
  if (before === null) return `${word}=${cut(after ?? '', 24)} is new`
  if (after === null) return `${word} is gone`
  return changeWords(word, before, after)
}

function commandWords(
  { part, line, before }: Difference & { readonly kind: 'command' },
  room: number,
): string {
  switch (part) {
    case 'command':
      return quoting('the command was', before, room)
    case 'shell':
      return quoting('SHELL was', before, room)
    case 'heredoc':
      return before.trim() === '' ? `line ${line} is new` : quoting(`line ${line} was`, before, room)
  }
}

function mountWords({ target, option, before, after }: Difference & { readonly kind: 'mount' }): string {
  const word = `mount ${cut(target, 28)}`
  if (option === null) return before === null ? `${word} is new` : `${word} is gone`
  return changeWords(`${word} ${option}`, before, after)
}

function filesWords({ changes, from }: Difference & { readonly kind: 'files' }, room: number): string {
  if (changes === null) return `files of ${titleOf(from)} changed`
  const [first] = changes
  return first === undefined ? 'the order of the sources changed' : fileWords(first, room)
}

/** `package.json changed`, `run.sh mode 0644 → 0755` */
export function fileWords({ path, ...change }: FileChange, room = Number.POSITIVE_INFINITY): string {
  const words = changeOfFile(change)
  return `${cutFront(oneLine(path), room - words.length - 1)} ${words}`
}

function changeOfFile({ change, before, after }: Omit<FileChange, 'path'>): string {
  switch (change) {
    case 'content':
      return 'changed'
    case 'added':
    case 'removed':
      return change
    case 'attributes':
      return 'attributes changed'
    case 'kind':
      return `was a ${before}`
    case 'target':
      return 'leads elsewhere'
    case 'mode':
    case 'owner':
      return `${change} ${before} → ${after}`
  }
}

function inputWords({ before, after }: Difference & { readonly kind: 'input' }): string {
  if (before === null) return `${titleOf(after ?? '')} is new`
  return after === null ? `${titleOf(before)} is gone` : `${titleOf(before)} → ${titleOf(after)}`
}

function changeWords(name: string, before: string | null, after: string | null): string {
  const value = (text: string | null) => (text === null || text === '' ? 'none' : cut(oneLine(text), 20))
  const [was, is] = [value(before), value(after)]
  // Long values that begin alike would be shown as equal.
  return was === is ? `${name} changed` : `${name} ${was} → ${is}`
}

/** A step's instruction in a few words: `COPY package.json ./`. */
export function titleOf(name: string, room = 28): string {
  return cut(oneLine(placeOf(name).text), room)
}

/** What another step's miss means for those that stand on it. */
export function afterWords(name: string, reason: MissReason): string {
  const room = longestReason - 'after  ()'.length
  const why = cut(reason.text, room - 16)
  return `after ${titleOf(name, room - why.length)} (${why})`
}

/** `2 days ago` */
export function ageWords(ms: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
  ]
  for (const [unit, length] of units) {
    const count = Math.floor(ms / length)
    if (count >= 1) return `${count} ${count === 1 ? unit : `${unit}s`} ago`
  }
  return 'just now'
}

function quoting(words: string, text: string, room: number): string {
  return `${words} "${cut(oneLine(text), room - words.length - 3)}"`
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}

function cut(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, Math.max(0, room - 1))}…`
}

/** Of a path the end says more. */
function cutFront(text: string, room: number): string {
  return text.length <= room ? text : `…${text.slice(text.length - Math.max(0, room - 1))}`
}

/** A difference in full, one line each. */
export function describeDifference(difference: Difference): readonly string[] {
  switch (difference.kind) {
    case 'files':
      return describeFiles(difference)
    case 'command':
    case 'instruction':
      return [headlineOf(difference), `- ${difference.before}`, `+ ${difference.after}`]
    case 'arg':
    case 'env': {
      const { kind, name, before, after, hidden } = difference
      return [`${kind.toUpperCase()} ${name}: ${hidden ? 'changed (not shown)' : fromTo(before, after)}`]
    }
    case 'setting':
      return [`${difference.name}: ${fromTo(difference.before, difference.after)}`]
    case 'mount': {
      const { type, target, option, before, after } = difference
      const what = `mount ${type} ${target}`
      if (option === null) return [`${what}: ${before === null ? 'new' : 'gone'}`]
      return [`${what} ${option}: ${fromTo(before, after)}`]
    }
    case 'image': {
      const { role, before, after } = difference
      const full = (image: ImageName | null) =>
        image === null ? null : `${image.reference}@${image.manifest}`
      return [`${role} image: ${fromTo(full(before), full(after))}`]
    }
    case 'step':
      return [`${difference.name} made something else: ${shortly(difference.before, difference.after)}`]
    case 'input':
      return [`input: ${fromTo(difference.before, difference.after)}`]
    case 'secret':
    case 'version':
      return [headline(difference)]
  }
}

function headlineOf(difference: Difference & { readonly kind: 'command' | 'instruction' }): string {
  if (difference.kind === 'instruction') return 'another instruction:'
  return difference.line === null ? `${difference.part}:` : `${difference.part}, line ${difference.line}:`
}

function describeFiles({
  from,
  before,
  after,
  changes,
  total,
}: Difference & { kind: 'files' }): readonly string[] {
  if (changes === null) return [`files of ${from}: ${shortly(before, after)} (no list of them is kept)`]
  const more = total - changes.length
  const rest = more > 0 ? [`and ${more} more`] : []
  return [`files of ${from}:`, ...changes.map((change) => `  ${fileWords(change)}`), ...rest]
}

/** A digest is told from another one by its beginning; JSON has all of it. */
function shortly(before: string, after: string): string {
  const short = (digest: string) => digest.slice(0, 'sha256:'.length + 12)
  return fromTo(short(before), short(after))
}

function fromTo(before: string | null, after: string | null): string {
  return `${before ?? 'none'} → ${after ?? 'none'}`
}
