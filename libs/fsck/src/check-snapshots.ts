import { lstatSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import {
  isSnapshotId,
  type Layout,
  parseLayerInfo,
  type SnapshotId,
  type SnapshotPaths,
} from '@tsbuild/store'
import { type Check, damage, foreign } from './found.ts'
import { leftover, underWay } from './leftovers.ts'
import { entriesOf, isStill, lookAt, sealedText } from './look.ts'
import { type Marker, readMarker } from './marker.ts'
import { removeAt, removeUnlessUsed } from './mend.ts'
import type { Scan } from './scan.ts'
import { treeProblems } from './tree-digests.ts'

const members = ['fs', 'work', 'snapshot.json', 'layer.json']

/** A committed snapshot, and what its marker says. */
interface Committed {
  readonly id: SnapshotId
  readonly stats: Stats
  /** Undefined for a damaged one. */
  readonly marker: Marker | undefined
}

/** Every committed snapshot: its marker, its files, and what is known of its layer form. */
export async function* checkSnapshots(scan: Scan): Check {
  const committed: Committed[] = []
  for (const { name } of entriesOf(scan.layout.snapshots)) {
    const path = join(scan.layout.snapshots, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined) continue
    if (!isSnapshotId(name) || !stats.isDirectory()) yield foreign(path)
    else yield* look(scan, name, stats, committed)
  }
  const trees = committed.flatMap(({ id, marker }) =>
    marker === undefined ? [] : [{ path: scan.layout.snapshot(id).fs, content: marker.content }],
  )
  const problems = await treeProblems(scan, trees)
  for (const snapshot of committed) yield* checkSnapshot(scan, snapshot, problems)
}

/** Adds it to `committed`, unless it is a draft. */
async function* look(scan: Scan, id: SnapshotId, stats: Stats, committed: Committed[]): Check {
  const paths = scan.layout.snapshot(id)
  const looked = lookAt(paths.marker)
  if (looked.is === 'missing') {
    // Its mark goes when its marker is there: whoever has neither belongs to nobody.
    if (underWay(scan.layout, `draft-${id}`) || isCommitted(scan.layout, id)) return
    return yield* leftover(scan.layout, paths.directory, 'it was never committed')
  }
  committed.push({ id, stats, marker: readMarker(looked, id) })
}

/** Whether a snapshot has its marker. */
export function isCommitted(layout: Layout, id: SnapshotId): boolean {
  return lstatSync(layout.snapshot(id).marker, { throwIfNoEntry: false })?.isFile() === true
}

async function* checkSnapshot(
  scan: Scan,
  { id, stats, marker }: Committed,
  problems: ReadonlyMap<string, string>,
): Check {
  const paths = scan.layout.snapshot(id)
  const problem = marker === undefined ? 'its marker is damaged' : problems.get(paths.fs)
  if (problem !== undefined && !isStill(paths.directory, stats)) return
  scan.checked.snapshots++
  scan.snapshots.set(id, problem === undefined ? 'whole' : 'damaged')
  if (problem !== undefined) {
    const mend = removeUnlessUsed('snapshot', id, stats)
    const found = { kind: 'snapshot', path: paths.directory, problem, mend } as const
    return yield damage({ ...found, loses: 'work' }, 'is removed with the records that name it')
  }
  noteLayers(scan, id)
  yield* checkLayerForm(paths, id)
  for (const { name } of entriesOf(paths.directory))
    if (!members.includes(name)) yield foreign(join(paths.directory, name))
}

/** What its blobs were can be made again from its files. */
function noteLayers({ layout, layers }: Scan, id: SnapshotId): void {
  const looked = lookAt(layout.snapshot(id).layer)
  const sealed = looked.is === 'missing' ? undefined : sealedText(looked, id)
  const layer = sealed !== undefined && 'text' in sealed ? parseLayerInfo(sealed.text) : undefined
  for (const { digest, mediaType, form } of layer?.blobs ?? [])
    layers.set(digest, { snapshot: id, mediaType, form })
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
