import { lstatSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Digest, digestFromHex, digestHex, isDigest } from '@tsbuild/digest'
import { readSmallFile, removeFile } from './disk.ts'
import { unlessErrno } from './fs-failure.ts'
import type { Layout } from './layout.ts'
import { unsealedText } from './seal.ts'
import type { Session } from './session.ts'
import type { DescribeRecord, Eviction, IndexedRecord, StepIndex } from './step-index-types.ts'

/** The first line of a file of either index; a file with another one counts as damaged. */
const stepsFormat = 'tsbuild-steps-v1'
const evictedFormat = 'tsbuild-evicted-v1'

/** How many records an identity has: enough to find the nearest among a few branches of a project. */
const perIdentity = 4
/** 256 files of 512 lines: what 40,000 steps are found by, 25 MB at the very most. */
const stepLines = 512
/** 256 files of 512 lines: 131,072 tombstones, 15 MB. */
const evictedLines = 512
/** A prune of before that explains nothing to anybody. */
const tombstoneMs = 60 * 24 * 3_600_000

/**
 * {@link StepIndex} in `v1/index/steps/<2 hex>` and `v1/index/evicted/<2 hex>`: text files of bounded length, each replaced by
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
    const hex = digestHex(identity)
    const read = () => readSteps(this.#stepFile(shardOf(identity)))
    let lines = read()
    if (lines === undefined) {
      await this.#rebuild(describe)
      lines = read() ?? []
    }
    return lines.flatMap((line) => (line.startsWith(hex) ? [recordOf(line)] : []))
  }

  add(identities: readonly Digest[], record: IndexedRecord): void {
    bestEffort(() => {
      for (const [shard, added] of groupBy(identities, shardOf)) {
        const before = readLines(this.#stepFile(shard), stepsFormat)
        // What was in it is found again when all of it is made anew.
        if (before === undefined) removeFile(this.#wholeMark())
        const lines = added.map((identity) => stepLine(identity, record))
        this.#writeSteps(shard, [...lines, ...(before ?? [])])
      }
    })
  }

  evicted(keys: readonly Digest[], { at, reason }: Eviction): void {
    bestEffort(() => {
      const line = (key: Digest) => `${digestHex(key)} ${at} ${reason.replaceAll(/\s+/g, ' ').trim()}`
      for (const [shard, added] of groupBy(keys, (key) => shardOf(key))) {
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
      const found = this.#readTombstones(shardOf(key)).find((tombstone) => tombstone.key === key)
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

  #stepFile(shard: string): string {
    return join(this.#layout.stepIndex, shard)
  }

  /** Newest first, and of each identity the newest few. */
  #writeSteps(shard: string, lines: readonly string[]): void {
    const counts = new Map<string, number>()
    const seen = new Set<string>()
    const kept: string[] = []
    for (const line of lines) {
      const identity = line.slice(0, 64)
      const count = counts.get(identity) ?? 0
      // The same record once, whenever it was written.
      const name = line.replace(/ \d+ /, ' ')
      if (kept.length >= stepLines || count >= perIdentity || seen.has(name)) continue
      counts.set(identity, count + 1)
      seen.add(name)
      kept.push(line)
    }
    this.#write(this.#stepFile(shard), stepsFormat, kept)
  }

  #readTombstones(shard: string): readonly Tombstone[] {
    const lines = readLines(this.#evictedFile(shard), evictedFormat)
    return (lines ?? []).flatMap((line) => parseTombstone(line) ?? [])
  }

  /** Reads every record: once for a store of before the index, and when a file of it is damaged. */
  async #rebuild(describe: DescribeRecord): Promise<void> {
    const shards = new Map<string, { readonly line: string; readonly at: number }[]>()
    for (const key of recordKeys(this.#layout)) {
      const bytes = quietly(() => readSmallFile(this.#layout.record(key).path))
      const text = unsealedText(digestHex(key), bytes)
      const described = text === undefined ? undefined : describe(text)
      for (const identity of described?.identities ?? []) {
        const shard = shardOf(identity)
        const lines = shards.get(shard) ?? []
        shards.set(shard, lines)
        const at = described?.at ?? 0
        lines.push({ line: stepLine(identity, { keys: [key], at }), at })
      }
      // A store may have 100,000, and other steps are at work.
      if (key.endsWith('0')) await new Promise(setImmediate)
    }
    bestEffort(() => {
      for (const name of unlessErrno(['ENOENT'], () => readdirSync(this.#layout.stepIndex)) ?? [])
        if (!shards.has(name)) removeFile(join(this.#layout.stepIndex, name))
      for (const [shard, lines] of shards) {
        const newestFirst = lines.toSorted((a, b) => b.at - a.at)
        this.#writeSteps(
          shard,
          newestFirst.map(({ line }) => line),
        )
      }
      this.#write(this.#wholeMark(), stepsFormat, [])
    })
  }

  #write(path: string, format: string, lines: readonly string[]): void {
    const temporary = this.#session.temporaryFile()
    const text = [format, ...lines, ''].join('\n')
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 })
    try {
      const missing =
        unlessErrno(['ENOENT', 'ENOTDIR'], () => renameSync(temporary, path) ?? true) === undefined
      if (!missing) return
      const directory = dirname(path)
      // Damage: what stands in the place of a directory of the index holds nothing.
      for (const place of [dirname(directory), directory])
        if (lstatSync(place, { throwIfNoEntry: false })?.isDirectory() === false) removeFile(place)
      mkdirSync(directory, { recursive: true, mode: 0o700 })
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
  const isGood = (line: string) =>
    kind === 'steps' ? stepForm.test(line) : parseTombstone(line) !== undefined
  return lines?.every(isGood) === true
}

interface Tombstone {
  readonly key: Digest
  readonly eviction: Eviction
  readonly text: string
}

function shardOf(digest: Digest): string {
  return digestHex(digest).slice(0, 2)
}

/** `<identity> <Unix ms> <key> <key>`, digests as hex. */
const stepForm = /^[0-9a-f]{64} \d{1,15}(?: [0-9a-f]{64})+$/

function stepLine(identity: Digest, { keys, at }: IndexedRecord): string {
  return [digestHex(identity), at, ...keys.map(digestHex)].join(' ')
}

/** @param line of this form */
function recordOf(line: string): IndexedRecord {
  const [, at, ...keys] = line.split(' ')
  return { keys: keys.map(digestFromHex), at: Number(at) }
}

/** The lines of a file, or undefined if one of them is damaged: it may be that of any identity. */
function readSteps(path: string): readonly string[] | undefined {
  const lines = readLines(path, stepsFormat)
  return lines?.every((line) => stepForm.test(line)) === true ? lines : undefined
}

function parseTombstone(text: string): Tombstone | undefined {
  const [, hex, at, reason = ''] = /^([0-9a-f]{64}) (\d{1,15}) ?(.*)$/.exec(text) ?? []
  const key = `sha256:${hex}`
  return isDigest(key) ? { key, eviction: { at: Number(at), reason }, text } : undefined
}

/** No lines where there is no file; undefined for one of another format, or that ends early. */
function readLines(path: string, format: string): readonly string[] | undefined {
  const text = quietly(() => readSmallFile(path))?.toString()
  return text === undefined ? [] : linesOf(text, format)
}

function linesOf(text: string, format: string): readonly string[] | undefined {
  const [first, ...lines] = text.split('\n')
  // The last line feed says that nothing is missing.
  return first === format && lines.pop() === '' ? lines : undefined
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
