import { UserError } from '@tsbuild/errors'
import { type BuildRecord, type BuildStep, createHistory, type History } from '@tsbuild/history'
import type { Machine } from './machine.ts'
import type { Builder, BuildSelection } from './types.ts'

type HistoryCalls = Pick<Builder, 'builds' | 'buildRecord' | 'buildExplanation' | 'buildLog' | 'removeBuilds'>

/** Hints list no more than this. */
const mostHints = 10

/** The calls about the history of a builder's store. */
export function historyOf({ store, now }: Machine): HistoryCalls {
  const history = createHistory(store.builds)
  return {
    builds: async () => history.list(),
    buildRecord: async (ref) => findBuild(history, ref),
    buildExplanation: async (ref, step) => {
      const build = findBuild(history, ref)
      return history.explanation(build.ref, oneStep(build, step).vertex)
    },
    async buildLog(ref, wanted, options) {
      const build = findBuild(history, ref)
      const steps = wanted === undefined ? stepsWithLog(build) : [oneStep(build, wanted)]
      const read = (step: BuildStep) => history.readLog(build.ref, step.vertex, options)
      return { build, steps: steps.map((step) => ({ step, chunks: read(step) })) }
    },
    async removeBuilds(which) {
      const refs = selected(which)
      const removals = await history.remove(refs)
      return refs.map((ref, index) => ({ ref, removal: removals[index] ?? 'gone' }))
    },
  }

  function selected(which: BuildSelection): readonly string[] {
    if ('refs' in which) return findAll(history, which.refs)
    const latest = 'all' in which ? Number.POSITIVE_INFINITY : now() - which.olderThanMs
    return store.builds.list().flatMap(({ ref, changedMs }) => (changedMs <= latest ? [ref] : []))
  }
}

/** Finds a build by its ref, a beginning of it, or `^1`; the newest, if none is named. @throws {UserError} `ERR_BUILD_NOT_FOUND` */
export function findBuild(history: History, ref = '^0'): BuildRecord {
  // A whole ref needs no list.
  const exact = history.read(ref)
  return exact ?? findInList(history.list().builds, ref)
}

function findInList(builds: readonly BuildRecord[], ref: string): BuildRecord {
  if (builds.length === 0)
    throw new UserError('ERR_BUILD_NOT_FOUND', 'Cannot find a build: the history of this store is empty')
  const [, back] = /^\^(\d{1,6})$/.exec(ref) ?? []
  if (back !== undefined) {
    const build = builds[Number(back)]
    if (build !== undefined) return build
    throw new UserError(
      'ERR_BUILD_NOT_FOUND',
      `Cannot find build "${ref}": the history has ${builds.length} builds`,
      { hints: ['`^0` is the newest.'] },
    )
  }
  const found = builds.filter((build) => ref !== '' && build.ref.startsWith(ref))
  const [build] = found
  if (build !== undefined && found.length === 1) return build
  if (found.length === 0)
    throw new UserError('ERR_BUILD_NOT_FOUND', `Cannot find build "${ref}": the history has no such build`, {
      hints: ['`tsbuild history ls` lists them.'],
    })
  throw new UserError('ERR_BUILD_NOT_FOUND', `Cannot find build "${ref}": ${found.length} builds begin so`, {
    hints: shown(found.map(({ ref: known, name }) => `${known}: ${name}`)),
  })
}

/** Also those that cannot be read: whoever names one wants it gone. */
function findAll(history: History, refs: readonly string[]): readonly string[] {
  const list = history.list()
  const found = refs.map((ref) => {
    const unreadable = list.unreadable.filter((known) => ref.length >= 4 && known.startsWith(ref))
    const [only] = unreadable
    return only !== undefined && unreadable.length === 1 ? only : findInList(list.builds, ref).ref
  })
  return [...new Set(found)]
}

function stepsWithLog({ steps }: BuildRecord): readonly BuildStep[] {
  return steps.filter(({ log }) => log.bytes > 0)
}

/** Finds one step of a build. @throws {UserError} `ERR_STEP_NOT_FOUND` */
export function oneStep(build: BuildRecord, wanted: string): BuildStep {
  const found = matching(build.steps, wanted)
  const [step] = found
  if (step !== undefined && found.length === 1) return step
  const state = found.length === 0 ? 'the build has no such step' : `${found.length} steps match`
  const listed = found.length === 0 ? build.steps.filter(({ role }) => role === 'step') : found
  throw new UserError('ERR_STEP_NOT_FOUND', `Cannot find step "${wanted}" of build ${build.ref}: ${state}`, {
    hints: shown(listed.map(({ number, name }) => `${number}: ${name}`)),
  })
}

/** What it can only be goes before what it may be: a number, a whole name, a digest, a part of a name. */
function matching(steps: readonly BuildStep[], wanted: string): readonly BuildStep[] {
  if (wanted === '') return []
  const number = /^#?(\d{1,6})$/.exec(wanted)?.[1]
  const numbered = number === undefined ? [] : steps.filter((step) => step.number === Number(number))
  if (numbered.length > 0) return numbered
  const named = steps.filter(({ name }) => name === wanted)
  if (named.length > 0) return named
  const hex = wanted.replace(/^sha256:/, '')
  const digested = hex.length < 6 ? [] : steps.filter(({ vertex }) => vertex.startsWith(`sha256:${hex}`))
  if (digested.length > 0) return digested
  const part = wanted.toLowerCase()
  return steps.filter(({ name }) => name.toLowerCase().includes(part))
}

function shown(hints: readonly string[]): readonly string[] {
  const more = hints.length - mostHints
  return more > 0 ? [...hints.slice(0, mostHints), `… and ${more} more`] : hints
}
