import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { digestBytes, digestFromHex, digestHex, digestKey, type KeyValue } from '@tsbuild/digest'
import { isRecord } from '@tsbuild/shape'
import { isBuildRef, isCacheMountNumber } from '@tsbuild/store'
import { type Check, damage, foreign } from './found.ts'
import { entriesOf, isStill, kindOf, lookAt, sealedJson } from './look.ts'
import { removeAt, removeUnlessUsed } from './mend.ts'
import type { Scan } from './scan.ts'

/** Lists of files: each has the digest of its name. */
export async function* checkFileLists({ layout, signal }: Scan): Check {
  for (const { name } of entriesOf(layout.files)) {
    signal.throwIfAborted()
    const path = join(layout.files, name)
    if (!/^[0-9a-f]{64}$/.test(name)) {
      yield foreign(path)
      continue
    }
    const looked = lookAt(path)
    if (looked.is === 'missing') continue
    const isGood = looked.is === 'file' && digestBytes(looked.bytes) === digestFromHex(name)
    const { stats } = looked
    if (isGood || stats === undefined || !isStill(path, stats)) continue
    const problem = looked.is === 'file' ? 'its text has another digest than its name' : looked.problem
    const mend = removeAt(path, stats)
    const found = { kind: 'file-list', path, problem, loses: 'nothing', mend } as const
    yield damage(found, 'is removed; it only explained a miss')
  }
}

/** Cache mounts: what steps keep there is theirs; only what tsbuild made itself is checked. */
export async function* checkCacheMounts({ layout }: Scan): Check {
  for (const entry of entriesOf(layout.mounts)) {
    const directory = join(layout.mounts, entry.name)
    if (!/^[0-9a-f]{64}$/.test(entry.name) || !entry.isDirectory()) yield foreign(directory)
    else
      for (const { name } of entriesOf(directory)) {
        if (isCacheMountNumber(name)) yield* checkCacheMount(entry.name, name, join(directory, name))
        else yield foreign(join(directory, name))
      }
  }
}

async function* checkCacheMount(name: string, number: string, directory: string): Check {
  const stats = lstatSync(directory, { throwIfNoEntry: false })
  if (stats === undefined) return
  const fs = lstatSync(join(directory, 'fs'), { throwIfNoEntry: false })
  if (fs?.isDirectory() !== true && fs?.isFile() !== true) {
    if (!isStill(directory, stats)) return
    const problem = stats.isDirectory()
      ? `its directory is ${fs === undefined ? 'missing' : kindOf(fs)}`
      : `it is ${kindOf(stats)}`
    const mend = removeUnlessUsed('cache-mount', `${name}/${number}`, stats)
    const found = { kind: 'cache-mount', path: directory, problem, loses: 'work', mend } as const
    return yield damage(found, 'is removed; a step that asks for it gets a new one')
  }
  const path = join(directory, 'meta.json')
  const looked = lookAt(path)
  if (looked.is === 'missing' || mountName(sealedJson(looked, number)) === name) return
  if (!isStill(path, looked.stats ?? stats)) return
  const problem = looked.is === 'file' ? 'it is not that of this cache mount' : looked.problem
  const mend = removeAt(path, looked.stats ?? stats)
  const found = { kind: 'cache-mount', path, problem, loses: 'nothing', mend } as const
  yield damage(found, 'is removed; it is written anew when the cache mount is used')
}

/** The name that the facts in a `meta.json` have. @see docs/dev/store.md, Cache mounts */
function mountName(meta: unknown): string | undefined {
  if (!isRecord(meta) || typeof meta.scope !== 'string' || typeof meta.id !== 'string') return undefined
  const { scope, id, base } = meta
  return digestHex(digestKey('tsbuild.mount.v1', { base: base as KeyValue, id, scope }))
}

/** Failed steps that are kept for `tsbuild shell`. */
export async function* checkFailures({ layout }: Scan): Check {
  for (const { name } of entriesOf(layout.failures)) {
    const path = join(layout.failures, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined) continue
    if (!isBuildRef(name) || !stats.isDirectory()) {
      yield foreign(path)
      continue
    }
    const { marker, fs } = layout.failure(name)
    const text = sealedJson(lookAt(marker), name)
    const hasTree = lstatSync(fs, { throwIfNoEntry: false })?.isDirectory() === true
    if ((isRecord(text) && text.ref === name && hasTree) || !isStill(path, stats)) continue
    const problem = hasTree ? 'its failure.json is missing or damaged' : 'its files are missing'
    const mend = removeUnlessUsed('failure', name, stats)
    yield damage({ kind: 'failure', path, problem, loses: 'data', mend }, 'is removed')
  }
}
