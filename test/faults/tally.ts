import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../support/repository.ts'

/** What became of one injected fault. */
export interface Verdict {
  /** What was done, in words that find it again. */
  readonly point: string
  /** The fault did happen. */
  readonly reached: boolean
  /** Work that had been reported done and was not there afterwards. */
  readonly lost: readonly string[]
  /** What was there and wrong, and what did not work afterwards. */
  readonly corrupt: readonly string[]
  /** Processes, mounts, cgroups, directories that stayed. */
  readonly leaked: readonly string[]
}

/** A row of the table of docs/dev/reliability.md. */
export interface Tally {
  readonly points: number
  readonly survived: number
  readonly lost: number
  readonly corrupt: number
  readonly leaked: number
}

/** Whether a fault happened and nothing was lost, wrong or left. */
export function survived({ reached, lost, corrupt, leaked }: Verdict): boolean {
  return reached && lost.length + corrupt.length + leaked.length === 0
}

/** Counts the verdicts of faults that did happen. */
export function tallyOf(verdicts: readonly Verdict[]): Tally {
  const reached = verdicts.filter((verdict) => verdict.reached)
  const having = (kind: 'lost' | 'corrupt' | 'leaked') =>
    reached.filter((verdict) => verdict[kind].length > 0).length
  return {
    points: reached.length,
    survived: reached.filter(survived).length,
    lost: having('lost'),
    corrupt: having('corrupt'),
    leaked: having('leaked'),
  }
}

/** What a test must not accept, a line each: whatever did not survive. A fault that did not happen hides nothing. */
export function failures(verdicts: readonly Verdict[]): readonly string[] {
  return verdicts.flatMap(({ point, lost, corrupt, leaked }) => [
    ...lost.map((what) => `${point}: lost: ${what}`),
    ...corrupt.map((what) => `${point}: corrupt: ${what}`),
    ...leaked.map((what) => `${point}: leaked: ${what}`),
  ])
}

/** Where the figures of a soak wait for the table. */
export const figuresFolder = join(repository, '.tsbuild-dev', 'faults')

/** Keeps the counts of one row of the table, when all points are tried: a sample is no measurement. */
export function keepFigures(row: string, verdicts: readonly Verdict[]): void {
  keepRow(row, tallyOf(verdicts), failures(verdicts))
}

/** As {@link keepFigures}, for a row that is counted in another way; `failed` is for who looks for the reason. */
export function keepRow(row: string, tally: Tally, failed: readonly string[] = []): void {
  if (!isSoak) return
  mkdirSync(figuresFolder, { recursive: true })
  const bound = process.env.TSBUILD_FAULT_POINTS ?? null
  const figures = { ...tally, at: new Date().toISOString(), bound, failed }
  writeFileSync(join(figuresFolder, `${row}.json`), `${JSON.stringify(figures, undefined, 1)}\n`)
}

/** Whether this run is to try everything. */
export const isSoak = process.env.TSBUILD_SOAK === '1'

/** The number that decides which points a sample has; printed with every failure. */
export const seed = Number(process.env.TSBUILD_FAULT_SEED ?? 1)

/**
 * Some of a list, the same for the same seed, in the order of the list; all of it in a soak, or as many as
 * `TSBUILD_FAULT_POINTS` says.
 */
export function sample<T>(all: readonly T[], size: number): readonly T[] {
  const bound = isSoak ? soakPoints(all.length) : size
  const random = randomNumbers(seed)
  const chosen = all
    .map((_, index) => ({ index, order: random() }))
    .toSorted((a, b) => a.order - b.order)
    .slice(0, bound)
    .map(({ index }) => index)
  return all.filter((_, index) => chosen.includes(index))
}

/** How many points of one list a soak tries: all of them, or as many as `TSBUILD_FAULT_POINTS` says. */
export function soakPoints(all: number): number {
  return Math.min(all, Number(process.env.TSBUILD_FAULT_POINTS ?? all))
}

/** Numbers in [0, 1) that depend on nothing but the seed. @see https://en.wikipedia.org/wiki/Xorshift */
export function randomNumbers(from: number): () => number {
  let state = (from ^ 0x9e3779b9) >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state = (state ^ (state << 5)) >>> 0
    return state / 2 ** 32
  }
}

/** Runs `work` on every item, some at a time, and gives the results in their order. */
export async function inParallel<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<readonly R[]> {
  const results = new Array<R>(items.length)
  let next = 0
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index] as T
      results[index] = await work(item, index)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}
