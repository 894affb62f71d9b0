import type { Scope } from '@tsbuild/trust'
import type { RecordName } from './layout.ts'
import type { RecordIndex } from './record-index.ts'

/** How many records there may be. Each costs memory of every process, and a file. */
export interface RecordLimits {
  readonly all: number
  readonly perScope: number
}

/** Limits of a server that says nothing else: some 200 MB of index. */
export const defaultRecordLimits: RecordLimits = { all: 1_000_000, perScope: 200_000 }

/**
 * Holds the index to its limits: what is on its way to it has its place already. Each process counts what it knows, so that several on one
 * storage may go beyond by what they store within a moment.
 */
export class RecordRoom {
  readonly #index: RecordIndex
  readonly #limits: RecordLimits
  /** By scope. */
  readonly #taken = new Map<Scope, number>()
  #allTaken = 0

  constructor(index: RecordIndex, limits: RecordLimits) {
    this.#index = index
    this.#limits = limits
  }

  /** Whether a record may be stored. @returns why not, or what gives its place back once it is in the index, or nowhere */
  take({ scope, key }: RecordName): string | (() => void) {
    // What is there already is looked at, or replaced.
    if (this.#index.get(scope, key) !== undefined) return () => {}
    const taken = this.#taken.get(scope) ?? 0
    const { all, perScope } = this.#limits
    if (this.#index.size + this.#allTaken >= all)
      return `the server has ${all} records, which is as many as it may`
    if (this.#index.sizeOf(scope) + taken >= perScope)
      return `${scope} has ${perScope} records, which is as many as it may`
    this.#taken.set(scope, taken + 1)
    this.#allTaken++
    return () => this.#give(scope)
  }

  #give(scope: Scope): void {
    const left = (this.#taken.get(scope) ?? 1) - 1
    if (left === 0) this.#taken.delete(scope)
    else this.#taken.set(scope, left)
    this.#allTaken--
  }
}
