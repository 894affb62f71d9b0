import type { Store } from '@tsbuild/store'
import type { Finding, Outcome } from './types.ts'

/** A finding on its way, and how it is mended. */
export interface Found<M = Mend> extends Omit<Finding, 'outcome'> {
  /** Undefined for what is left alone. */
  readonly mend: M | undefined
}

/** Mends one finding. The store is open. */
export type Mend = (store: Store) => Promise<Outcome> | Outcome

/** Mends what has to be whole before a store can be opened. */
export type LayoutMend = () => Outcome

/** Says what it found, piece by piece. */
export type Check<M = Mend> = AsyncGenerator<Found<M>, void, undefined>

/** Damage whose repair is `mend`. */
export function damage<M>(found: Omit<Found<M>, 'severity' | 'repair'>, repair: string): Found<M> {
  return { ...found, severity: 'damage', repair }
}

/** Something that a crash may leave, and that harms nothing: whoever reads it passes over it. */
export function notice<M>(found: Omit<Found<M>, 'severity' | 'repair'>, repair: string): Found<M> {
  return { ...found, severity: 'notice', repair }
}

/** Something nobody of ours made; it is left alone. */
export function foreign(path: string, problem = 'tsbuild did not make it'): Found<never> {
  const severity = 'notice'
  return { kind: 'foreign', severity, path, problem, repair: undefined, loses: 'nothing', mend: undefined }
}
