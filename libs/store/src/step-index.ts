import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Digest, digestHex, isDigest } from '@tsbuild/digest'
import { readSmallFile, removeFile } from './disk.ts'
import { unlessErrno } from './fs-failure.ts'
import type { Layout } from './layout.ts'
import type { Session } from './session.ts'
import type { DescribeRecord, Eviction, IndexedRecord, StepIndex } from './types.ts'

/** The first line of a file of either index; a file with another one counts as damaged. */
const stepsFormat = 'tsbuild-steps-v1'
const evictedFormat = 'tsbuild-evicted-v1'

/** How many records an identity has: enough to find the nearest among a few branches of a project. */
const perIdentity = 4
/** Lines of a file. 4,096 files of 96 lines are 50 MB at the very most, and far from that in any real store. */
const stepLines = 96
/** 256 files of 512 lines: 131,072 tombstones, 15 MB. */
const evictedLines = 512
/** A prune of before that explains nothing to anybody. */
const tombstoneMs = 60 * 24 * 3_600_000

/**
 * {@link StepIndex} in `v1/index/steps/<3 hex>` and `v1/index/evicted/<2 hex>`: text files of bounded length, each replaced by
 * rename and never synced. Two processes that write one file at once may lose a line; that costs an explanation.
 */
export class DirectoryStepIndex implements StepIndex {
  readonly #layout: Layout
  readonly #session: Session
  readonly #now: () => number
  #whole: Promise<void> | undefined

  constructor(layout: Layout, session: Session, now: () => number) {
    this.#layout = layout
    this.#session = session
    this.#now = now
  }

  async find(identity: Digest, describe: DescribeRecord): Promise<readonly IndexedRecord[]> {
    this.#whole ??= this.#isWhole() ? Promise.resolve() : this.#rebuild(describe)
    await this.#whole
    const read = () => this.#readSteps(shardOf(identity, 3))
    let lines = read()
    if (lines === 'damaged') {
      await this.#rebuild(describe)
      lines = read()
    }
    if (lines === 'damaged') return []
    return lines.flatMap((line) => (line.identity === digestHex(identity) ? [line.record] : []))
  }

  add(identities: readonly Digest[], record: IndexedRecord): void {
    bestEffort(() => {
      const added = identities.map((identity) => ({ identity: digestHex(identity), record }))
      for (const [shard, lines] of groupBy(added, ({ identity }) => identity.slice(0, 3))) {
        const before = this.#readSteps(shard)
        // What was in it is found again when all of it is made anew.
        if (before === 'damaged') removeFile(this.#wholeMark())
        this.#writeSteps(shard, [...lines, ...(before === 'damaged' ? [] : before)])
      }
    })
  }

  evicted(keys: readonly Digest[], { at, reason }: Eviction): void {
    bestEffort(() => {
      const line = (key: Digest) => `${digestHex(key)} ${at} ${reason.replaceAll(/\s+/g, ' ').trim()}`
      for (const [shard, added] of groupBy(keys, (key) => shardOf(key, 2))) {
        const kept = this.#readTombstones(shard).filter((old) => !added.includes(old.key))
        const young = kept.filter((old) => at - old.eviction.at < tombstoneMs).map(({ text }) => text)
        this.#write(
          this.#evictedFile(shard),
          evictedFormat,
          [...added.map(line), ...young].slice(0, evictedLines),
        )
      }
    })
  }

  eviction(keys: readonly Digest[]): Eviction | undefined {
    for (const key of keys) {
      const found = this.#readTombstones(shardOf(key, 2)).find((tombstone) => tombstone.key === key)
      if (found !== undefined && this.#now() - found.eviction.at < tombstoneMs) return found.eviction
    }
    return undefined
  }

  #wholeMark(): string {
    return join(this.#layout.stepIndex, 'whole')
  }

  #evictedFile(shard: string): string {
    return join(this.#layout.evicted, shard)
  }

  /** Whether the records of before the index were read into it. */
  #isWhole(): boolean {
    return quietly(() => readSmallFile(this.#wholeMark()))?.toString() === `${stepsFormat}\n`
  }

  #readSteps(shard: string): readonly StepLine[] | 'damaged' {
    const lines = readLines(join(this.#layout.stepIndex, shard), stepsFormat)
    if (lines === 'damaged') return lines
    const parsed = lines.map(parseStep)
    const whole = parsed.filter((line) => line !== undefined)
    return whole.length < parsed.length ? 'damaged' : whole
  }

  /** Newest first, and of each identity the newest few. */
  #writeSteps(shard: string, lines: readonly StepLine[]): void {
    const counts = new Map<string, number>()
    const seen = new Set<string>()
    const kept = lines.filter(({ identity, record }) => {
      const name = `${identity} ${record.keys.join()}`
      const count = counts.get(identity) ?? 0
      if (count >= perIdentity || seen.has(name)) return false
      counts.set(identity, count + 1)
      seen.add(name)
      return true
    })
    const texts = kept.slice(0, stepLines).map(({ identity, record: { keys, at } }) => {
      return `${identity} ${at} ${keys.map(digestHex).join(' ')}`
    })
    this.#write(join(this.#layout.stepIndex, shard), stepsFormat, texts)
  }

  #readTombstones(shard: string): readonly Tombstone[] {
    const lines = readLines(this.#evictedFile(shard), evictedFormat)
    return lines === 'damaged' ? [] : lines.flatMap((line) => parseTombstone(line) ?? [])
  }

  /** Reads every record: once for a store of before the index, and when a file of it is damaged. */
  async #rebuild(describe: DescribeRecord): Promise<void> {
    const shards = new Map<string, StepLine[]>()
    for (const key of recordKeys(this.#layout)) {
      const text = quietly(() => readSmallFile(this.#layout.record(key).path))?.toString()
      const described = text === undefined ? undefined : describe(text)
      for (const identity of described?.identities ?? []) {
        const shard = shardOf(identity, 3)
        const lines = shards.get(shard) ?? []
        shards.set(shard, lines)
        lines.push({ identity: digestHex(identity), record: { keys: [key], at: described?.at ?? 0 } })
      }
      // A store may have 100,000, and other steps are at work.
      if (key.endsWith('0')) await new Promise(setImmediate)
    }
    bestEffort(() => {
      for (const name of unlessErrno(['ENOENT'], () => readdirSync(this.#layout.stepIndex)) ?? [])
        if (!shards.has(name)) removeFile(join(this.#layout.stepIndex, name))
      for (const [shard, lines] of shards)
        this.#writeSteps(
          shard,
          lines.toSorted((a, b) => b.record.at - a.record.at),
        )
      this.#write(this.#wholeMark(), stepsFormat, [])
    })
  }

  #write(path: string, format: string, lines: readonly string[]): void {
    const temporary = this.#session.temporaryFile()
    const text = [format, ...lines, ''].join('\n')
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 })
    try {
      const missing = unlessErrno(['ENOENT'], () => renameSync(temporary, path) ?? true) === undefined
      if (!missing) return
      mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
      renameSync(temporary, path)
    } catch (error) {
      removeFile(temporary)
      throw error
    }
  }
}

/** Whether the text of a file of the step index, or of the evictions, is one; what is none is made anew or forgotten. */
export function isIndexFile(kind: 'steps' | 'evicted', text: string): boolean {
  const lines = linesOf(text, kind === 'steps' ? stepsFormat : evictedFormat)
  const parse = kind === 'steps' ? parseStep : parseTombstone
  return lines !== 'damaged' && lines.every((line) => parse(line) !== undefined)
}

interface StepLine {
  /** 64 hex digits. */
  readonly identity: string
  readonly record: IndexedRecord
}

interface Tombstone {
  readonly key: Digest
  readonly eviction: Eviction
  readonly text: string
}

function shardOf(digest: Digest, length: number): string {
  return digestHex(digest).slice(0, length)
}

function parseStep(line: string): StepLine | undefined {
  const [identity = '', at = '', ...hexes] = line.split(' ')
  const keys = hexes.map((hex) => `sha256:${hex}`).filter(isDigest)
  if (!isDigest(`sha256:${identity}`) || !/^\d{1,15}$/.test(at)) return undefined
  if (keys.length === 0 || keys.length < hexes.length) return undefined
  return { identity, record: { keys, at: Number(at) } }
}

function parseTombstone(text: string): Tombstone | undefined {
  const [, hex, at, reason = ''] = /^([0-9a-f]{64}) (\d{1,15}) ?(.*)$/.exec(text) ?? []
  const key = `sha256:${hex}`
  return isDigest(key) ? { key, eviction: { at: Number(at), reason }, text } : undefined
}

/** No lines where there is no file. */
function readLines(path: string, format: string): readonly string[] | 'damaged' {
  const text = quietly(() => readSmallFile(path))?.toString()
  return text === undefined ? [] : linesOf(text, format)
}

function linesOf(text: string, format: string): readonly string[] | 'damaged' {
  const [first, ...lines] = text.split('\n')
  // The last line feed says that nothing is missing.
  return first === format && lines.pop() === '' ? lines : 'damaged'
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

function groupBy<T>(list: readonly T[], nameOf: (entry: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>()
  for (const entry of list) {
    const name = nameOf(entry)
    const group = groups.get(name) ?? []
    groups.set(name, group)
    group.push(entry)
  }
  return groups
}

/** A file that cannot be read counts as missing: the index only explains. */
function quietly<T>(body: () => T): T | undefined {
  try {
    return body()
  } catch {
    return undefined
  }
}

function bestEffort(body: () => void): void {
  quietly(body)
}
