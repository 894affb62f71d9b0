import { lstatSync } from 'node:fs'
import { basename, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { isRecord } from '@tsbuild/shape'
import { isIndexFile } from '@tsbuild/store'
import { type Check, damage, foreign, notice } from './found.ts'
import { leftover } from './leftovers.ts'
import { cutOffProblem, entriesOf, isCutOff, isStill, jsonOf, kindOf, type Looked, lookAt } from './look.ts'
import { removeAt } from './mend.ts'
import type { Scan } from './scan.ts'

/** The files below `v1/index`: all of it is made again from the records. */
export async function* checkIndex({ layout }: Scan): Check {
  for (const path of [join(layout.v1, 'index'), layout.stepIndex, layout.evicted]) yield* checkDirectory(path)
  const isFileOf = (kind: 'steps' | 'evicted') => (looked: Looked) =>
    looked.is === 'file' && isIndexFile(kind, looked.bytes.toString())
  yield* checkFiles(layout.stepIndex, /^([0-9a-f]|whole)$/, 'index', isFileOf('steps'))
  yield* checkFiles(layout.evicted, /^[0-9a-f]$/, 'index', isFileOf('evicted'))
  if (lookAt(layout.account).is !== 'missing')
    yield* checkFile(layout.account, 'index', (looked) => isRecord(jsonOf(looked)))
  const index = join(layout.v1, 'index')
  const known = [layout.stepIndex, layout.evicted, layout.account].map((path) => basename(path))
  for (const { name } of entriesOf(index)) if (!known.includes(name)) yield foreign(join(index, name))
}

async function* checkDirectory(path: string): Check {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined || stats.isDirectory()) return
  const found = { kind: 'index', path, problem: `it is ${kindOf(stats)}`, loses: 'nothing' } as const
  yield damage({ ...found, mend: removeAt(path, stats) }, 'is removed and made again')
}

/** A file that the helper writes has a new name for the time of one `write`. */
const draftMs = 3_600_000

/** The files below `v1/cache`: what they hold is found out again. */
export async function* checkCacheFiles({ layout, now }: Scan): Check {
  for (const { name } of entriesOf(layout.cache)) {
    const directory = join(layout.cache, name)
    if (name === 'fingerprints') {
      for (const entry of entriesOf(directory)) {
        const path = join(directory, entry.name)
        const stats = lstatSync(path, { throwIfNoEntry: false })
        if (!entry.name.endsWith('.new') || stats === undefined) continue
        if (now() - stats.mtimeMs > draftMs) yield* leftover(layout, path, 'it was never finished')
      }
      yield* checkFiles(directory, /^[0-9a-f]{16}(\.\d+\.new)?$/, 'cache-file', isFingerprints)
    } else if (name !== 'probe') yield foreign(directory)
  }
}

const magic = Buffer.from('tsbfpr\0\x01', 'latin1')

/** A header, the CRC-32 of the rest, the rest. @see native/helper/src/fingerprint.rs */
function isFingerprints(looked: Looked): boolean {
  if (looked.is !== 'file') return false
  const { bytes } = looked
  if (bytes.length < magic.length + 4) return false
  const body = bytes.subarray(magic.length + 4)
  if (!bytes.subarray(0, magic.length).equals(magic)) return false
  return bytes.readUInt32LE(magic.length) === crc32(body)
}

async function* checkFiles(
  directory: string,
  names: RegExp,
  kind: 'index' | 'cache-file',
  isGood: (looked: Looked) => boolean,
): Check {
  for (const { name } of entriesOf(directory)) {
    const path = join(directory, name)
    if (!names.test(name)) yield foreign(path)
    else if (!name.endsWith('.new')) yield* checkFile(path, kind, isGood)
  }
}

async function* checkFile(
  path: string,
  kind: 'index' | 'cache-file',
  isGood: (looked: Looked) => boolean,
): Check {
  const looked = lookAt(path)
  if (looked.is === 'missing' || isGood(looked)) return
  const { stats } = looked
  if (stats === undefined || !isStill(path, stats)) return
  const problem = looked.is === 'other' ? looked.problem : 'it is damaged'
  const mend = removeAt(path, stats)
  if (isCutOff(looked)) {
    const found = { kind, path, problem: cutOffProblem, loses: 'nothing', mend } as const
    yield notice(found, 'is removed and made again')
  } else yield damage({ kind, path, problem, loses: 'nothing', mend }, 'is removed and made again')
}
