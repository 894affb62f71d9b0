import type { Store } from '@tsbuild/store'
import type { Finding, Outcome } from './types.ts'

/** A finding on its way, and how it is mended. */
export interface Found extends Omit<Finding, 'outcome'> {
  /** Undefined for what is left alone. */
  readonly mend: Mend | undefined
}

/** Mends one finding. The store is open. */
export type Mend = (store: Store) => Promise<Outcome> | Outcome

/** Says what it found, piece by piece. */
export type Check = AsyncGenerator<Found, void, undefined>

/** Damage whose repair is `mend`. */
export function damage(found: Omit<Found, 'severity' | 'repair'>, repair: string): Found {
  return { ...found, severity: 'damage', repair }
}

/** Something nobody of ours made; it is left alone. */
export function foreign(path: string, problem = 'tsbuild did not make it'): Found {
  const severity = 'notice'
  return { kind: 'foreign', severity, path, problem, repair: undefined, loses: 'nothing', mend: undefined }
}
