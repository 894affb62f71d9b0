import { EnvironmentError, UserError } from '@tsbuild/errors'
import { diskFailure } from '@tsbuild/store'
import type { ByteRange, ObjectKey } from './types.ts'

export { diskFailure, unlessErrno } from '@tsbuild/store'

/** Runs `body`; a failed system call in it leaves as `diskFailure` of `@tsbuild/store`. */
export async function onDisk<T>(action: string, path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    throw diskFailure(error, action, path)
  }
}

/** @throws {UserError} `ERR_CANCELLED` where the signal has fired */
export function throwIfCancelled(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw cancelled(signal, what)
}

/** What a call whose signal fired rejects with. */
export function cancelled(signal: AbortSignal, what: string): UserError {
  return new UserError('ERR_CANCELLED', `Cannot ${what}: cancelled`, { cause: signal.reason })
}

/** What a call on a closed store rejects with. */
export function storeIsClosed(kind: string): EnvironmentError {
  return new EnvironmentError('ERR_STORAGE_UNAVAILABLE', `Cannot use object store "${kind}": it is closed`)
}

/** What {@link ObjectStore.cas} says to a value that is too large. */
export function valueTooLarge(key: ObjectKey, size: number, limit: number): UserError {
  return new UserError(
    'ERR_OBJECT_TOO_LARGE',
    `Cannot replace object "${key}": the value has ${size} bytes, expected at most ${limit}`,
  )
}

/**
 * The first byte of a range and the one after its last.
 * @throws {UserError} `ERR_RANGE`
 */
export function boundsOf(
  key: ObjectKey,
  size: number,
  range: ByteRange | undefined,
): { readonly start: number; readonly end: number } {
  if (range === undefined) return { start: 0, end: size }
  const { start } = range
  const end = Math.min(range.end ?? size - 1, size - 1) + 1
  const makesSense =
    Number.isSafeInteger(start) && start >= 0 && start < size && (range.end ?? start) >= start
  if (makesSense) return { start, end }
  throw new UserError(
    'ERR_RANGE',
    `Cannot read object "${key}" from ${start} to ${range.end ?? 'its end'}: it has ${size} bytes`,
  )
}
