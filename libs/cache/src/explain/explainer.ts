import type { Digest } from '@tsbuild/digest'
import type { MissReason } from '@tsbuild/events'
import type { CacheRecord, Miss } from '@tsbuild/solver'
import type { Store } from '@tsbuild/store'
import { decodeRecord } from '../record-codec.ts'
import { compare, listDigestOf } from './compare.ts'
import { compareLists } from './compare-lists.ts'
import { describeRecord } from './describe-record.ts'
import { identitiesOf, placeOf } from './identities.ts'
import { type Difference, type Explanation, type Side, shownFiles } from './types.ts'
import { afterWords, ageWords, countOf, reasonOf } from './words.ts'

/** What an explainer needs from outside. */
export interface ExplainerOptions {
  readonly store: Pick<Store, 'records' | 'steps' | 'getFileList'>
  /** The build's vertices. */
  readonly vertices: ReadonlyMap<Digest, Miss['vertex']>
  /** Which flag forces steps to run: `--no-cache`. */
  readonly forcedBy: string
  readonly now: () => number
}

/** Compares the steps of one build that have to run with what was recorded. */
export interface Explainer {
  explain(miss: Miss): Promise<Explanation>
}

/** A step of an earlier build may stand on another of it: so far the cause of a change is looked for. */
const longestChain = 100

/** See {@link Explainer}. Every step of a build is explained after those that it stands on. */
export function createExplainer(options: ExplainerOptions): Explainer {
  const search = createSearch(options)
  /** By vertex, what its readers say: the step that it all comes from. */
  const causes = new Map<Digest, Cause>()
  return {
    async explain(miss) {
      const explanation = await explainMiss(miss, options, search, causes)
      const { reason, cause } = explanation
      causes.set(miss.vertex.digest, cause ?? { name: miss.vertex.name, reason })
      return explanation
    },
  }
}

async function explainMiss(
  miss: Miss,
  options: ExplainerOptions,
  search: Search,
  causes: ReadonlyMap<Digest, Cause>,
): Promise<Explanation> {
  const simple = simpleReason(miss, options)
  if (simple !== undefined) return explanationOf(simple, miss.unusable?.record)
  const { unusable } = miss
  const now: Side = { ...miss, name: miss.vertex.name }
  const known =
    unusable === undefined ? await search.candidates(now) : { records: [unusable.record], lost: false }
  const nearest = await nearestOf(now, known.records, (differences, record) =>
    withFiles(differences, miss, record, options),
  )
  if (nearest === undefined) {
    const lost: MissReason = { code: 'damaged', text: 'its record is gone' }
    const first: MissReason = { code: 'first-build', text: 'first build' }
    return explanationOf(known.evicted ?? (known.lost ? lost : first), undefined)
  }
  const { differences } = nearest
  const own = differences.filter(({ kind }) => kind !== 'step')
  const cause =
    own.length > 0
      ? undefined
      : await causeOf(differences, miss, { search, causes, vertices: options.vertices })
  const reason =
    cause === undefined
      ? reasonOf(differences)
      : ({ code: 'input', text: afterWords(cause.name, cause.reason) } as const)
  const same: MissReason = { code: 'damaged', text: 'its record is gone' }
  return explanationOf(reason ?? same, nearest.record, differences, cause)
}

function explanationOf(
  reason: MissReason,
  earlier: CacheRecord | undefined,
  differences: readonly Difference[] = [],
  cause?: Explanation['cause'],
): Explanation {
  const { name, createdAt, durationMs } = earlier ?? { name: '', createdAt: 0, durationMs: 0 }
  return {
    reason,
    earlier: earlier === undefined ? null : { name, createdAt, durationMs },
    differences,
    cause: cause ?? null,
  }
}

/** What needs no comparison. */
function simpleReason(miss: Miss, { store, forcedBy, now }: ExplainerOptions): MissReason | undefined {
  const { vertex, unusable, keys } = miss
  if (vertex.ignoreCache) return { code: 'forced', text: forcedBy }
  if (miss.maxAgeMs === 0) return { code: 'forced', text: 'RUN --cache=off' }
  if (unusable?.why === 'expired')
    return { code: 'expired', text: `ttl over, recorded ${ageWords(now() - unusable.record.createdAt)}` }
  const eviction = store.steps.eviction(keys)
  if (eviction !== undefined && unusable?.why !== 'other-base') return evictedReason(eviction, now())
  if (unusable?.why === 'gone') return { code: 'damaged', text: 'its files are gone' }
  // The solver found nothing under these keys: what is there is no record.
  const damaged = unusable === undefined && keys.some((key) => isDamaged(store.records.peek(key)))
  return damaged ? { code: 'damaged', text: 'its record is damaged' } : undefined
}

function evictedReason(
  { at, reason }: { readonly at: number; readonly reason: string },
  now: number,
): MissReason {
  const why = reason === '' ? '' : ` (${reason})`
  return { code: 'evicted', text: `evicted ${ageWords(now - at)}${why}` }
}

function isDamaged(found: { readonly text: string | undefined } | undefined): boolean {
  return found !== undefined && (found.text === undefined || decodeRecord(found.text) === undefined)
}

/** What is found of a step. */
interface Candidates {
  readonly records: readonly CacheRecord[]
  /** Some are known of and are not there any more. */
  readonly lost: boolean
  /** That a prune took them. */
  readonly evicted?: MissReason | undefined
}

interface Search {
  candidates(side: Side): Promise<Candidates>
  /** The record of a step, by what it counts as. */
  output(name: string, about: Side['about'], key: Digest): Promise<CacheRecord | undefined>
}

function createSearch({ store, vertices, now }: ExplainerOptions): Search {
  const present = new Set([...vertices.values()].map(({ name }) => placeOf(name).text))
  // A line that stands somewhere else in this build was not changed into this one.
  const replaced = ({ name }: CacheRecord) => !present.has(placeOf(name).text)
  const read = (keys: readonly Digest[]) => {
    for (const key of keys) {
      const text = store.records.peek(key)?.text
      const record = text === undefined ? undefined : decodeRecord(text)
      if (record !== undefined) return record
    }
    return undefined
  }
  const look = async (identity: Digest): Promise<Candidates> => {
    const indexed = await store.steps.find(identity, describeRecord)
    const found = indexed.map(({ keys }) => ({ keys, record: read(keys) }))
    const gone = found.flatMap(({ keys, record }) => (record === undefined ? keys : []))
    const eviction = gone.length === 0 ? undefined : store.steps.eviction(gone)
    return {
      records: found.flatMap(({ record }) => record ?? []),
      lost: gone.length > 0,
      evicted: eviction === undefined ? undefined : evictedReason(eviction, now()),
    }
  }
  return {
    async candidates(side) {
      const { line, place, lineElsewhere, placeElsewhere } = identitiesOf(side)
      const own = await look(line)
      if (own.records.length > 0) return own
      for (const identity of [place, lineElsewhere, placeElsewhere]) {
        const found = await look(identity)
        const records = identity === lineElsewhere ? found.records : found.records.filter(replaced)
        if (records.length > 0) return { ...found, records }
      }
      return own
    },
    async output(name, about, key) {
      for (const identity of Object.values(identitiesOf({ name, about }))) {
        const found = (await look(identity)).records.find(({ outputKey }) => outputKey === key)
        if (found !== undefined) return found
      }
      return read([key])
    },
  }
}

interface Nearest {
  readonly record: CacheRecord
  readonly differences: readonly Difference[]
}

/** The one with the fewest differences, files among them; of several the newest. */
async function nearestOf(
  now: Side,
  records: readonly CacheRecord[],
  look: (differences: readonly Difference[], record: CacheRecord) => Promise<readonly Difference[]>,
): Promise<Nearest | undefined> {
  const compared = records
    .toSorted((a, b) => b.createdAt - a.createdAt)
    .map((record) => ({ record, differences: compare(now, record) }))
  const fewest = Math.min(...compared.map(({ differences }) => differences.length))
  const near = compared.filter(({ differences }) => differences.length === fewest)
  let nearest: (Nearest & { readonly count: number }) | undefined
  for (const { record, differences: rough } of near) {
    const differences = await look(rough, record)
    const count = differences.reduce((sum, difference) => sum + countOf(difference), 0)
    if (nearest === undefined || count < nearest.count) nearest = { record, differences, count }
  }
  return nearest
}

/** Looks into what is read: which files changed. */
async function withFiles(
  differences: readonly Difference[],
  miss: Miss,
  earlier: CacheRecord,
  { store }: ExplainerOptions,
): Promise<readonly Difference[]> {
  const looked = await Promise.all(
    differences.map(async (difference): Promise<Difference> => {
      if (difference.kind !== 'files') return difference
      const index = miss.inputs.findIndex(
        (input) => input.kind === 'content' && input.digest === difference.after,
      )
      const was = earlier.inputs.find(
        (input) => input.kind === 'content' && input.digest === difference.before,
      )
      const before = await listOf(store, listDigestOf(was))
      // Only now: the files are walked once more for it.
      if (before === undefined) return difference
      await miss.keepList(index)
      const after = await listOf(store, listDigestOf(miss.inputs[index]))
      if (after === undefined) return difference
      const changes = compareLists(before, after)
      return { ...difference, changes: changes.slice(0, shownFiles), total: changes.length }
    }),
  ) // With a mode or an owner for everything, those of the sources count no more: no file changed.
  const countsOther = looked.some(
    (difference) => difference.kind === 'setting' && ['--chmod', '--chown'].includes(difference.name),
  )
  return looked.filter(
    (difference) => !(countsOther && difference.kind === 'files' && difference.changes?.length === 0),
  )
}

async function listOf(
  store: ExplainerOptions['store'],
  digest: Digest | undefined,
): Promise<string | undefined> {
  return digest === undefined ? undefined : await store.getFileList(digest)
}

type Cause = NonNullable<Explanation['cause']>

interface CauseTools {
  readonly search: Search
  readonly causes: ReadonlyMap<Digest, Cause>
  readonly vertices: ExplainerOptions['vertices']
}

/**
 * The step that the change of an input comes from: one that had to run in this build says so itself; of one that was found, its
 * record is compared with the one that the earlier step stood on.
 */
async function causeOf(
  differences: readonly Difference[],
  miss: Miss,
  tools: CauseTools,
): Promise<Cause | undefined> {
  for (const difference of differences) {
    if (difference.kind !== 'step') continue
    const input = miss.vertex.inputs[difference.input]
    const known = input === undefined ? undefined : causeAt(input, tools)
    const found = known ?? (await causeAmongRecords(difference, miss.about, tools.search))
    if (found !== undefined) return found
  }
  return undefined
}

/** Through views, which have no cause of their own. */
function causeAt(input: Digest, { causes, vertices }: CauseTools): Cause | undefined {
  const pending = [input]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const known = causes.get(next)
    if (known !== undefined) return known
    const vertex = vertices.get(next)
    if (vertex?.op.kind === 'merge') pending.push(...vertex.inputs)
  }
  return undefined
}

async function causeAmongRecords(
  { name, before, after }: Difference & { readonly kind: 'step' },
  about: Side['about'],
  search: Search,
): Promise<Cause | undefined> {
  let step = { name, before, after }
  for (let depth = 0; depth < longestChain; depth++) {
    const now = await search.output(step.name, about, step.after)
    const earlier = await search.output(step.name, about, step.before)
    if (now === undefined || earlier === undefined) break
    const differences = compare(now, earlier)
    const own = differences.filter(({ kind }) => kind !== 'step')
    const reason = reasonOf(own)
    if (reason !== undefined) return { name: step.name, reason }
    const next = differences.find((difference) => difference.kind === 'step')
    if (next === undefined) break
    step = next
  }
  return undefined
}
