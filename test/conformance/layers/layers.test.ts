import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createNative, findHelper } from '@tsbuild/native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findProgram, needs } from '../../support/capabilities.ts'
import { describeTree } from '../../support/tree.ts'
import { storesFolder } from '../../support/workspace.ts'
import { differencesFromReaders, differencesFromUmoci } from './accepted-differences.ts'
import { layerCases } from './cases/index.ts'
import { compareListings, compareTrees } from './compare.ts'
import { archiveOf, type Host } from './layer-case.ts'
import { type Listing, listWithGnuTar, listWithGo, listWithPython } from './readers.ts'
import { describeFiles, type Place, type Surveyed, survey } from './survey.ts'
import { rewriteLayer, type Unpacked, unpackWithHelper, unpackWithUmoci } from './unpack.ts'

const canary = mkdtempSync('/tmp/tsbuild-canary-')
const host: Host = {
  canary: canary.slice(1),
  parents: ['dir tmp'],
  up: Array.from({ length: 12 }, () => '..').join('/'),
}
const cases = layerCases(host)
const folder = mkdtempSync(join(storesFolder, 'tsbuild-layers-'))
/** Where a file that names the canary lies. */
const before = plantCanary()

interface Result {
  readonly refusal?: string
  readonly files?: readonly Surveyed[]
}
let ours: readonly Result[] = []
let umoci: readonly Result[] = []

function plantCanary(): readonly string[] {
  writeFileSync(join(canary, 'kept'), 'host', { mode: 0o600 })
  return describeTree(canary)
}

beforeAll(async () => {
  if (process.getuid?.() !== 0) return
  ours = await unpackAll('ours', (unpacking) => unpackWithHelper(native(), unpacking))
  if (findProgram('umoci') !== undefined) umoci = await unpackAll('umoci', unpackWithUmoci)
}, 120_000)
afterAll(() => {
  // Some paths are too long for one call, which node's own removal makes.
  execFileSync('rm', ['-rf', folder, canary])
})

const native = () => createNative({ helperPath: findHelper(), idMap: undefined })

/** Unpacks every case, two at a time, and describes what came out. */
async function unpackAll(
  tool: string,
  unpack: (unpacking: { folder: string; archives: readonly Buffer[] }) => Promise<Unpacked>,
): Promise<readonly Result[]> {
  const outcomes: Unpacked[] = []
  const rest = [...cases.entries()]
  const work = async () => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
      const [at, { base, ...one }] = next
      const place = join(folder, tool, `${at}`)
      mkdirSync(place, { recursive: true })
      const archives = [...(base === undefined ? [] : [archiveOf({ layer: base })]), archiveOf(one)]
      outcomes[at] = await unpack({ folder: place, archives })
    }
  }
  await Promise.all([work(), work()])
  const places = outcomes.flatMap((outcome) => ('place' in outcome ? [outcome.place] : []))
  const trees = [...survey(places)]
  return outcomes.map((outcome) =>
    'refusal' in outcome ? { refusal: outcome.refusal } : { files: trees.shift() ?? [] },
  )
}

const outcomeOf = ({ refusal, files = [] }: Result) => refusal ?? describeFiles(files).toSorted()

describe('a layer', () => {
  it('has a name for each case, and there are 150', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
    expect(cases.length).toBeGreaterThanOrEqual(150)
  })

  it.for(cases.map(({ name, wants }, at) => [name, at, wants] as const))('%s', ([, at, wants], context) => {
    needs(context, 'root')
    const wanted = typeof wants === 'string' ? wants : wants.toSorted()
    context.expect(outcomeOf(ours[at] ?? {})).toEqual(wanted)
  })

  it('that tsbuild writes again is the same tree', async (context) => {
    needs(context, 'root')
    const accepted = ours.flatMap(({ files }, at) => (files === undefined ? [] : [at]))
    const places: Place[] = []
    for (const at of accepted) places.push(await rewriteLayer(native(), join(folder, 'ours', `${at}`)))
    // The layer of a step says nothing about the root itself, as Docker's does not.
    const trees = survey(places)
    const belowRoot = ({ files = [] }: Result) => ({ files: files.filter(({ path }) => path !== '.') })
    const changed = accepted.flatMap((at, index) => {
      const difference = compareTrees(belowRoot(ours[at] ?? {}), belowRoot({ files: trees[index] ?? [] }))
      return difference === undefined ? [] : [[cases[at]?.name, difference] as const]
    })
    expect(Object.fromEntries(changed)).toEqual({})
  })

  it('leaves the host as it was', (context) => {
    needs(context, 'root')
    expect(describeTree(canary)).toEqual(before)
  })

  it('is to umoci what it is to tsbuild, but for the differences in the list', (context) => {
    needs(context, 'root', 'program umoci')
    const found = cases.flatMap(({ name }, at) => {
      const difference = compareTrees(ours[at] ?? {}, umoci[at] ?? {})
      return difference === undefined ? [] : [[name, difference] as const]
    })
    const listed = cases.filter(({ name }) => differencesFromUmoci.has(name)).map(({ name }) => name)
    expect(Object.fromEntries(found.filter(([name]) => !differencesFromUmoci.has(name)))).toEqual({})
    expect(listed.filter((name) => !found.some(([one]) => one === name))).toEqual([])
    expect([...differencesFromUmoci.keys()].filter((name) => !listed.includes(name))).toEqual([])
  })
})

describe('TAR-04: an archive', () => {
  const parsed = cases.flatMap((one, at) =>
    one.base === undefined && /^TAR-0[49]/.test(one.name) ? [at] : [],
  )
  const paths = parsed.map((at) => join(folder, `${at}.tar`))

  /** Each reader's listings, in the order of `parsed`. */
  function listAll(): ReadonlyMap<string, readonly Listing[]> {
    for (const [index, at] of parsed.entries()) {
      const one = cases[at]
      if (one !== undefined) writeFileSync(paths[index] ?? '', archiveOf(one))
    }
    return new Map([
      ['GNU tar', listWithGnuTar(paths)],
      ['Python', listWithPython(paths)],
      ...(findProgram('go') === undefined ? [] : [['Go', listWithGo(paths, folder)] as const]),
    ])
  }

  it('is the same list of files to every reader, or is refused; but for the list', (context) => {
    needs(context, 'root')
    const readers = listAll()
    const found = parsed.flatMap((at, index) => {
      const listings = new Map([...readers].map(([reader, listing]) => [reader, listing[index] ?? null]))
      const difference = compareListings(ours[at] ?? {}, listings)
      return difference === undefined ? [] : [[cases[at]?.name ?? '', difference] as const]
    })
    expect(parsed.length).toBeGreaterThanOrEqual(30)
    expect(Object.fromEntries(found.filter(([name]) => !differencesFromReaders.has(name)))).toEqual({})
    const names = found.map(([name]) => name)
    expect([...differencesFromReaders.keys()].filter((name) => !names.includes(name))).toEqual([])
  })
})
