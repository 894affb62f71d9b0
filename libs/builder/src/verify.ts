import { type VerifyReport, verifyStore } from '@tsbuild/fsck'
import { openNative, openStoreOf } from './machine.ts'
import type { VerifyOptions } from './types.ts'

/** See `verify` of the public API: the store is opened for a repair only, since nobody can open a damaged one. */
export async function verifyWith(options: VerifyOptions): Promise<VerifyReport> {
  const { native } = await openNative(options)
  return await verifyStore({
    root: options.root,
    repair: options.repair === true,
    open: () => openStoreOf(options, native),
    native,
    now: () => Date.now(),
    uid: process.geteuid?.() ?? 0,
    signal: options.signal ?? new AbortController().signal,
    onFinding: options.onFinding,
  })
}
