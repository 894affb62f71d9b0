import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Digest, digestFromHex, digestHex, isDigest } from '@tsbuild/digest'
import { readSmallFile, removeFile } from './disk.ts'
import type { Layout } from './layout.ts'
import { LineLog } from './line-log.ts'
import { unsealedText } from './seal.ts'
import type { Session } from './session.ts'
import type { DescribeRecord, Eviction, IndexedRecord, StepIndex } from './step-index-types.ts'

/** How many records an identity has: enough to find the nearest among a few branches of a project. */
const perIdentity = 4
/** 16 files of this size and half of it: what about 25,000 steps are found by. */
const maxBytes = 512 * 1024
/** Lines of a file that became too long. */
const keptLines = 1_600
/** A prune of before that explains nothing to anybody. */
const tombstoneMs = 60 * 24 * 3_600_000
const shards = [...'0123456789abcdef']

const stepsFormat = 'tsbuild-steps-v1'
/** `<identity> <Unix ms> <key> <key>`, digests as hex. */
const stepForm = /^[0-9a-f]{64} \d{1,15}(?: [0-9a-f]{64})+$/
const evictedFormat = 'tsbuild-evicted-v1'
/** `<key> <Unix ms> <reason>`; a line that is none is passed over, as it cannot be made again. */
const evictionForm = /^[0-9a-f]{64} (\d{1,15}) (.*)$/

/** {@link StepIndex} in `v1/index/steps/<hex digit>` and `v1/index/evicted/<hex digit>`. */
export class DirectoryStepIndex implements StepIndex {
  readonly #layout: Layout
  readonly #session: Session
  readonly #now: () => number
  readonly #steps: ReadonlyMap<string, LineLog>
  readonly #evicted: ReadonlyMap<string, LineLog>
  #whole: Promise<void> | undefined
  /** Lines on their way, by shard. */
  #pending: Map<string, string[]> | undefined

  constructor(layout: Layout, session: Session, now: () => number) {
    this.#layout = layout
    this.#session = session
    this.#now = now
    this.#steps = this.#logs(layout.stepIndex, stepsFormat, stepForm, newestOfEach)
    this.#evicted = this.#logs(layout.evicted, evictedFormat, /^/, (lines) => lines.slice(0, keptLines))
  }

  async find(identity: Digest, describe: DescribeRecord): Promise<readonly IndexedRecord[]> {
    this.flush()
    this.#whole ??= this.#isWhole() ? Promise.resolve() : this.#rebuild(describe)
    await this.#whole
    const hex = digestHex(identity)
    const read = () => quietly(() => this.#steps.get(shardOf(identity))?.find(hex))
    let lines = read()
    if (lines === undefined) {
      await this.#rebuild(describe)
      lines = read() ?? []
    }
    return newestOfEach(lines).map(recordOf)
  }

  add(identities: readonly Digest[], record: IndexedRecord): void {
    // Steps whose records became durable together are written together.
    if (this.#pending === undefined) setImmediate(() => this.flush())
    this.#pending ??= new Map()
    for (const identity of identities) push(this.#pending, shardOf(identity), stepLine(identity, record))
  }

  flush(): void {
    const pending = this.#pending
    this.#pending = undefined
    for (const [shard, lines] of pending ?? []) quietly(() => this.#steps.get(shard)?.append(lines))
  }

  evicted(keys: readonly Digest[], { at, reason }: Eviction): void {
    const lines = new Map<string, string[]>()
    const words = reason.replaceAll(/\s+/g, ' ').trim()
    for (const key of keys) push(lines, shardOf(key), `${digestHex(key)} ${at} ${words}`)
    for (const [shard, added] of lines)
      quietly(() => {
        const log = this.#evicted.get(shard)
        if (log?.find('') === undefined) log?.replace(added)
        else log.append(added)
      })
  }

  eviction(keys: readonly Digest[]): Eviction | undefined {
    for (const key of keys) {
      const [found] = quietly(() => this.#evicted.get(shardOf(key))?.find(digestHex(key))) ?? []
      const [, at = '', reason = ''] = evictionForm.exec(found ?? '') ?? []
      if (at !== '' && this.#now() - Number(at) < tombstoneMs) return { at: Number(at), reason }
    }
    return undefined
  }

  #logs(
    folder: string,
    format: string,
    form: RegExp,
    kept: (lines: readonly string[]) => readonly string[],
  ): ReadonlyMap<string, LineLog> {
    const options = { format, form, maxBytes, kept }
    return new Map(
      shards.map((shard) => [shard, new LineLog({ ...options, path: join(folder, shard) }, this.#session)]),
    )
  }

  /** Its presence says that the records of before the index were read into it. */
  #wholeMark(): LineLog {
    const path = join(this.#layout.stepIndex, 'whole')
    const options = { path, format: stepsFormat, form: /^$/, maxBytes, kept: () => [] }
    return new LineLog(options, this.#session)
  }

  #isWhole(): boolean {
    const bytes = quietly(() => readSmallFile(join(this.#layout.stepIndex, 'whole')))
    return bytes?.toString() === `${stepsFormat}\n`
  }

  /** Reads every record: once for a store of before the index, and when a file of it is damaged. */
  async #rebuild(describe: DescribeRecord): Promise<void> {
    const found = new Map<string, { readonly line: string; readonly at: number }[]>()
    for (const key of recordKeys(this.#layout)) {
      const bytes = quietly(() => readSmallFile(this.#layout.record(key).path))
      const text = unsealedText(digestHex(key), bytes)
      const described = text === undefined ? undefined : describe(text)
      const at = described?.at ?? 0
      for (const identity of described?.identities ?? [])
        push(found, shardOf(identity), { line: stepLine(identity, { keys: [key], at }), at })
      // A store may have 100,000, and other steps are at work.
      if (key.endsWith('0')) await new Promise(setImmediate)
    }
    quietly(() => {
      for (const [shard, log] of this.#steps) {
        const newestFirst = (found.get(shard) ?? []).toSorted((a, b) => b.at - a.at)
        const lines = newestOfEach(newestFirst.map(({ line }) => line))
        if (lines.length > 0) log.replace(lines.slice(0, keptLines))
        else removeFile(join(this.#layout.stepIndex, shard))
      }
      this.#wholeMark().replace([])
    })
  }
}

/** Whether the text of a file of the step index, or of the evictions, is one; what is none is made anew or forgotten. */
export function isIndexFile(kind: 'steps' | 'evicted', text: string): boolean {
  const [first, ...lines] = text.split('\n')
  const [format, form] = kind === 'steps' ? [stepsFormat, stepForm] : [evictedFormat, evictionForm]
  return first === format && lines.pop() === '' && lines.every((line) => form.test(line))
}

function shardOf(digest: Digest): string {
  return digestHex(digest).slice(0, 1)
}

function stepLine(identity: Digest, { keys, at }: IndexedRecord): string {
  return [digestHex(identity), at, ...keys.map(digestHex)].join(' ')
}

/** @param line of {@link stepForm} */
function recordOf(line: string): IndexedRecord {
  const [, at, ...keys] = line.split(' ')
  return { keys: keys.map(digestFromHex), at: Number(at) }
}

/** Of lines, newest first, the first few of each identity; the same record once, whenever it was written. */
function newestOfEach(lines: readonly string[]): readonly string[] {
  const counts = new Map<string, number>()
  const seen = new Set<string>()
  return lines
    .filter((line) => {
      const identity = line.slice(0, 64)
      const count = counts.get(identity) ?? 0
      const record = line.replace(/ \d+ /, ' ')
      if (count >= perIdentity || seen.has(record)) return false
      counts.set(identity, count + 1)
      seen.add(record)
      return true
    })
    .slice(0, keptLines)
}

function recordKeys({ records }: Layout): readonly Digest[] {
  const list = (path: string) => quietly(() => readdirSync(path)) ?? []
  return list(records).flatMap((shard) =>
    list(join(records, shard)).flatMap((name) => {
      const key = `sha256:${name.replace(/\.json$/, '')}`
      return isDigest(key) ? [key] : []
    }),
  )
}

function push<T>(groups: Map<string, T[]>, name: string, entry: T): void {
  const group = groups.get(name)
  if (group === undefined) groups.set(name, [entry])
  else group.push(entry)
}

/** What cannot be read or written counts as missing: the index only explains. */
function quietly<T>(body: () => T): T | undefined {
  try {
    return body()
  } catch {
    return undefined
  }
}
