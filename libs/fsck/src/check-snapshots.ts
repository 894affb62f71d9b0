import { lstatSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { count, objectOf } from '@tsbuild/shape'
import {
  isSnapshotId,
  type Layout,
  parseLayerInfo,
  type SnapshotId,
  type SnapshotPaths,
} from '@tsbuild/store'
import { type Check, damage, foreign } from './found.ts'
import { leftover, underWay } from './leftovers.ts'
import { entriesOf, isStill, kindOf, lookAt, sealedJson, sealedText } from './look.ts'
import { removeAt, removeUnlessUsed } from './mend.ts'
import type { Scan } from './scan.ts'

const isMarker = objectOf({ createdMs: count })
const members = ['fs', 'work', 'snapshot.json', 'layer.json']

/** Every committed snapshot: its marker, its files, and what is known of its layer form. */
export async function* checkSnapshots(scan: Scan): Check {
  const { snapshots } = scan.layout
  for (const { name } of entriesOf(snapshots)) {
    scan.signal.throwIfAborted()
    const path = join(snapshots, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined) continue
    if (!isSnapshotId(name) || !stats.isDirectory()) yield foreign(path)
    else yield* checkSnapshot(scan, name, stats)
  }
}

/** Whether a snapshot has its marker. */
export function isCommitted(layout: Layout, id: SnapshotId): boolean {
  return lstatSync(layout.snapshot(id).marker, { throwIfNoEntry: false })?.isFile() === true
}

async function* checkSnapshot(scan: Scan, id: SnapshotId, stats: Stats): Check {
  const paths = scan.layout.snapshot(id)
  const marker = lookAt(paths.marker)
  if (marker.is === 'missing') {
    // Its mark goes when its marker is there: whoever has neither belongs to nobody.
    if (underWay(scan.layout, `draft-${id}`) || isCommitted(scan.layout, id)) return
    return yield* leftover(scan.layout, paths.directory, 'it was never committed')
  }
  const isGood = isMarker(sealedJson(marker, id))
  const problem = isGood ? await treeProblem(scan, paths) : 'its marker is damaged'
  if (problem !== undefined && !isStill(paths.directory, stats)) return
  scan.checked.snapshots++
  scan.snapshots.set(id, problem === undefined ? 'whole' : 'damaged')
  if (problem !== undefined) {
    const mend = removeUnlessUsed('snapshot', id, stats)
    const found = { kind: 'snapshot', path: paths.directory, problem, mend } as const
    return yield damage({ ...found, loses: 'work' }, 'is removed with the records that name it')
  }
  yield* checkLayerForm(paths, id)
  for (const { name } of entriesOf(paths.directory))
    if (!members.includes(name)) yield foreign(join(paths.directory, name))
}

async function treeProblem(scan: Scan, { fs }: SnapshotPaths): Promise<string | undefined> {
  const tree = lstatSync(fs, { throwIfNoEntry: false })
  if (tree === undefined) return 'its files are missing'
  if (!tree.isDirectory()) return `its tree is ${kindOf(tree)}`
  scan.checked.withoutDigest++
  return undefined
}

async function* checkLayerForm({ layer }: SnapshotPaths, id: SnapshotId): Check {
  const looked = lookAt(layer)
  if (looked.is === 'missing') return
  const sealed = sealedText(looked, id)
  const isGood = 'text' in sealed && parseLayerInfo(sealed.text) !== undefined
  const { stats } = looked
  if (isGood || stats === undefined || !isStill(layer, stats)) return
  const problem = 'problem' in sealed ? sealed.problem : 'it describes no layer'
  const mend = removeAt(layer, stats)
  yield damage(
    { kind: 'layer-form', path: layer, problem, loses: 'nothing', mend },
    'is removed and made again',
  )
}
