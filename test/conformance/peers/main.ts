import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../../support/repository.ts'
import { type Case, listCases, readCase } from '../support/case.ts'
import { makeContext } from '../support/make-context.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'
import { differences, type Facts, factsOf, type Outcome } from './compare.ts'
import { checkKnown, type Found, knownFile, readKnown } from './known.ts'
import { openBuildah, openDocker, type Peer, PeerFailure } from './peer.ts'

const corpus = join(repository, 'test/conformance/dockerfile')
const bases = join(repository, 'test/conformance/bases')
/** Results of the peers, by what they were made from: a peer gives the same again. */
const kept = join(repository, '.tsbuild-dev', 'peers', 'results')
const atOnce = 2

const usage = `Usage: npm run conformance:peers -- [--fresh] [--peer buildah|docker] [CASE…]
Builds the positive cases with the peers as well and compares trees and configs.
  --fresh   builds with the peers again what they built before
`

/** Runs the comparison. Gives the exit code: 1 for a difference that is not listed or that is listed and gone. */
export async function main(argv: readonly string[]): Promise<number> {
  const wantedPeers = argv.flatMap((word, index) => (argv[index - 1] === '--peer' ? [word] : []))
  const names = argv.filter((word, index) => !word.startsWith('--') && argv[index - 1] !== '--peer')
  const unknown = names.filter((name) => !existsSync(join(corpus, name)))
  const flags = argv.filter((word) => word.startsWith('--') && !['--fresh', '--peer'].includes(word))
  if (unknown.length > 0 || flags.length > 0) {
    process.stderr.write(`unknown: ${[...unknown, ...flags].join(', ')}\n${usage}`)
    return 2
  }
  const known = readKnown()
  const cases = (names.length > 0 ? names : listCases(corpus))
    .map((name) => readCase(join(corpus, name)))
    .filter(({ want }) => want.kind === 'image')
  const workshop = await openWorkshop()
  try {
    const ours = await buildOurs(workshop, cases)
    const found: Found[] = []
    for (const [name, open] of [
      ['buildah', openBuildah],
      ['docker', openDocker],
    ] as const) {
      if (wantedPeers.length > 0 && !wantedPeers.includes(name)) continue
      const make = () => open(join(workshop.folder, name))
      found.push(
        ...(await comparePeer({ name, make, workshop, cases, ours, fresh: argv.includes('--fresh') })),
      )
    }
    const wrong = checkKnown(known, found, names.length === 0 && wantedPeers.length === 0)
    for (const line of wrong) process.stdout.write(`${line}\n`)
    const count = found.flatMap((one) => one.differences).length
    process.stdout.write(
      `${cases.length} cases, ${count} differences, ${wrong.length} of them not as ${knownFile} says\n`,
    )
    return wrong.length === 0 ? 0 : 1
  } finally {
    await workshop.close()
  }
}

/** What our builder makes of each case; one that it refuses is not compared, and `npm test` says so. */
async function buildOurs(workshop: Workshop, cases: readonly Case[]): Promise<ReadonlyMap<Case, Facts>> {
  const ours = new Map<Case, Facts>()
  await inParallel(cases, async (one) => {
    try {
      ours.set(one, factsOf((await workshop.build(one)).image))
    } catch (error) {
      process.stdout.write(`not compared: ${one.name}: ${error instanceof Error ? error.message : error}\n`)
    }
  })
  return ours
}

interface Comparing {
  readonly name: Peer['name']
  readonly make: () => Promise<Peer>
  readonly workshop: Workshop
  readonly cases: readonly Case[]
  readonly ours: ReadonlyMap<Case, Facts>
  readonly fresh: boolean
}

async function comparePeer(comparing: Comparing): Promise<readonly Found[]> {
  const { name, make, workshop, cases, ours, fresh } = comparing
  const folder = join(kept, name)
  mkdirSync(folder, { recursive: true })
  // Before anything runs: a case that is edited meanwhile is built as it was read.
  const files = new Map(cases.map((one) => [one, join(folder, `${one.name}-${digestOf(one)}.json`)]))
  const missing = [...files].filter(([, file]) => fresh || !existsSync(file))
  if (missing.length > 0) {
    const peer = await make()
    try {
      for (const { archive } of workshop.bases.values()) await peer.load(archive)
      let done = 0
      await inParallel(missing, async ([one, file]) => {
        const outcome = await buildWith(peer, one, workshop)
        writeFileSync(file, JSON.stringify(outcome))
        done += 1
        if (done % 20 === 0) process.stderr.write(`${name}: ${done} of ${missing.length}\n`)
      })
    } finally {
      await peer.stop()
    }
  }
  return [...ours].map(([one, facts]) => {
    const outcome = JSON.parse(readFileSync(files.get(one) ?? '', 'utf8')) as Outcome
    return { peer: name, name: one.name, differences: differences(plain(facts), outcome) }
  })
}

async function buildWith(peer: Peer, one: Case, workshop: Workshop): Promise<Outcome> {
  const made = workshop.make(one)
  if (one.again !== undefined) makeContext(made.context, one.again)
  try {
    return { facts: factsOf(await peer.build(one, made)) }
  } catch (error) {
    if (error instanceof PeerFailure) return { failure: error.message }
    throw error
  }
}

/** As it comes back from a file. */
function plain(facts: Facts): Facts {
  return JSON.parse(JSON.stringify(facts))
}

/** Of everything that a peer's result depends on. */
function digestOf(one: Case): string {
  const hash = createHash('sha256')
  for (const folder of [bases, one.folder])
    hashFolder(hash, folder, folder === one.folder ? ['want.json'] : [])
  return hash.digest('hex').slice(0, 16)
}

function hashFolder(hash: ReturnType<typeof createHash>, folder: string, skipped: readonly string[]): void {
  for (const name of readdirSync(folder).toSorted()) {
    const path = join(folder, name)
    if (skipped.includes(name)) continue
    hash.update(`${name}\0`)
    if (statSync(path).isDirectory()) hashFolder(hash, path, [])
    else hash.update(readFileSync(path))
  }
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await work(next)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
