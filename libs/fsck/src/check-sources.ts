import { lstatSync, type Stats } from 'node:fs'
import { basename, join } from 'node:path'
import { isSourceId, parseSourcePointer, type SourceId } from '@tsbuild/store'
import { type Check, damage, foreign, notice } from './found.ts'
import { leftover, underWay } from './leftovers.ts'
import { entriesOf, isStill, lookAt, sealedText } from './look.ts'
import { type Marker, readMarker } from './marker.ts'
import { removeAt, removeUnlessUsed } from './mend.ts'
import type { Scan } from './scan.ts'
import { treeProblems } from './tree-digests.ts'

/** A committed tree, and what its marker says. */
interface Committed {
  readonly id: SourceId
  readonly stats: Stats
  /** Undefined for a damaged one. */
  readonly marker: Marker | undefined
}

/** What was fetched from elsewhere: its trees, and the names that point to them. */
export async function* checkSources(scan: Scan): Check {
  const { layout } = scan
  const committed: Committed[] = []
  for (const { name } of entriesOf(layout.sourceTrees)) {
    const path = join(layout.sourceTrees, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined) continue
    if (!isSourceId(name) || !stats.isDirectory()) yield foreign(path)
    else yield* look(scan, name, stats, committed)
  }
  const damaged = new Set<string>()
  yield* checkTrees(scan, committed, damaged)
  for (const { name } of entriesOf(layout.sourceNames)) {
    const path = join(layout.sourceNames, name)
    if (/^[0-9a-f]{64}\.json$/.test(name)) yield* checkName(scan, path, damaged)
    else yield foreign(path)
  }
  for (const entry of entriesOf(layout.sourceWork))
    if (!/^[0-9a-f]{64}$/.test(entry.name) || !entry.isDirectory())
      yield foreign(join(layout.sourceWork, entry.name))
}

/** Adds it to `committed`, unless it is a draft. */
async function* look(scan: Scan, id: SourceId, stats: Stats, committed: Committed[]): Check {
  const { directory, marker } = scan.layout.source(id)
  const looked = lookAt(marker)
  if (looked.is === 'missing') {
    if (underWay(scan.layout, `source-${id}`) || lookAt(marker).is !== 'missing') return
    return yield* leftover(scan.layout, directory, 'it was never committed')
  }
  committed.push({ id, stats, marker: readMarker(looked, id) })
}

async function* checkTrees(scan: Scan, committed: readonly Committed[], damaged: Set<string>): Check {
  const trees = committed.flatMap(({ id, marker }) =>
    marker === undefined ? [] : [{ path: scan.layout.source(id).fs, content: marker.content }],
  )
  const problems = await treeProblems(scan, trees)
  for (const { id, stats, marker } of committed) {
    const { directory, fs } = scan.layout.source(id)
    const problem = marker === undefined ? 'its marker is damaged' : problems.get(fs)
    if (problem !== undefined && isStill(directory, stats)) {
      damaged.add(id)
      const mend = removeUnlessUsed('source', id, stats)
      const found = { kind: 'source', path: directory, problem, loses: 'nothing', mend } as const
      yield damage(found, 'is removed; it is fetched again')
    }
  }
}

async function* checkName(scan: Scan, path: string, damaged: ReadonlySet<string>): Check {
  const looked = lookAt(path)
  if (looked.is === 'missing') return
  const sealed = sealedText(looked, basename(path, '.json'))
  const pointer = 'text' in sealed ? parseSourcePointer(sealed.text) : undefined
  const isBroken = pointer === undefined || damaged.has(pointer.tree)
  const { stats } = looked
  if (stats === undefined || (!isBroken && isCommitted(scan, pointer.tree)) || !isStill(path, stats)) return
  const problem =
    'problem' in sealed
      ? sealed.problem
      : pointer === undefined
        ? 'it names no tree'
        : `it names tree ${pointer.tree}, which is ${isBroken ? 'damaged' : 'missing'}`
  const found = { kind: 'source-name', path, problem, loses: 'nothing', mend: removeAt(path, stats) } as const
  // A power cut may keep a name and not its tree.
  yield (isBroken ? damage : notice)(found, 'is removed; it is fetched again')
}

/** Asked now: a build may have committed it since the trees were listed. */
function isCommitted({ layout }: Scan, id: string): boolean {
  return isSourceId(id) && readMarker(lookAt(layout.source(id).marker), id) !== undefined
}
