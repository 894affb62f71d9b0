import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { type Disk, type DiskOptions, makeDisk } from './disk.ts'
import { countInjections, failAt } from './injections.ts'
import { endOf, inTrial, openRig, type Rig, type Trial } from './rig.ts'
import { makeScenarios, type Scenario, type Scenarios } from './scenarios.ts'
import {
  failures,
  inParallel,
  isSoak,
  keepFigures,
  randomNumbers,
  sample,
  seed,
  soakPoints,
  type Verdict,
} from './tally.ts'
import { judge, lastWords } from './verdict.ts'

let rig: Rig
let scenarios: Scenarios
beforeAll(async () => {
  rig = await openRig('disk')
  scenarios = await makeScenarios(rig)
})
afterAll(async () => {
  await scenarios?.stop()
  await rig?.remove()
})

let disks = 0
async function disk(options: DiskOptions): Promise<Disk> {
  disks += 1
  const made = await makeDisk(rig.workspace.path(`disk-${disks}`), options)
  onTestFinished(() => made.remove())
  return made
}

const six = (): Scenario => {
  const found = scenarios.all.find(({ name }) => name === 'build')
  if (found === undefined) throw new Error('no scenario build')
  return found
}

/** Builds on a disk while `during` is so, frees it, and judges. */
async function buildOn(
  place: Disk,
  point: string,
  words: readonly string[],
  during: (trial: Trial) => void,
  faultsOf: (stderr: string, code: number | null, trial: Trial) => readonly string[],
): Promise<Verdict> {
  const scenario = six()
  return await inTrial({ template: scenario.template, store: `${place.folder}/store` }, async (trial) => {
    during(trial)
    const before = await endOf(trial.start(words, scenario.args(trial)))
    place.empty()
    const verdict = await judge(scenario, trial, point, before, () => before.code !== 0)
    const wrong = before.code === 0 ? [] : faultsOf(before.stderr, before.code, trial)
    return { ...verdict, corrupt: [...verdict.corrupt, ...wrong] }
  })
}

/** A full disk is said by the store, with all one needs to know, or by the program of a step. */
function faultsOfFull(stderr: string, code: number | null, trial: Trial): readonly string[] {
  const words = lastWords(stderr)
  if (code === 1 && /No space left on device|File too large/.test(stderr)) return []
  if (code !== 3 || !/\[ERR_STORE_NO_SPACE\]/.test(words)) return [`exit code ${code}: ${words}`]
  const wanted = [trial.store, /\d+ bytes and \d+ inodes are free|file size limit/, /Hint: /]
  return wanted
    .filter((what) => (typeof what === 'string' ? !words.includes(what) : !what.test(words)))
    .map((what) => `${what} is not in: ${words}`)
}

const some = (inSoak: number, otherwise: number) => (isSoak ? soakPoints(inSoak) : otherwise)

describe('a disk', () => {
  it('that fills up at any byte is named, and costs nothing that was done', async (t) => {
    needs(t, 'root', 'loop devices')
    const place = await disk({ megabytes: 64 })
    const random = randomNumbers(seed)
    const verdicts: Verdict[] = []
    for (let round = 0; round < some(50, 3); round += 1) {
      const free = Math.floor(random() * 900_000)
      const fill = () => place.fillBytes(free)
      verdicts.push(await buildOn(place, `${free} bytes free`, [], fill, faultsOfFull))
    }
    keepFigures('disk-full', verdicts)
    expect(failures(verdicts), `seed ${seed}`).toEqual([])
    expect(verdicts.some(({ reached }) => reached)).toBe(true)
  })

  it('that runs out of inodes at any file is named, and costs nothing that was done', async (t) => {
    needs(t, 'root', 'loop devices')
    const place = await disk({ megabytes: 64, inodes: 1024 })
    const random = randomNumbers(seed)
    const verdicts: Verdict[] = []
    for (let round = 0; round < some(30, 2); round += 1) {
      const free = Math.floor(random() * 60)
      const fill = () => place.fillInodes(free)
      verdicts.push(await buildOn(place, `${free} inodes free`, [], fill, faultsOfFull))
    }
    keepFigures('disk-inodes', verdicts)
    expect(failures(verdicts), `seed ${seed}`).toEqual([])
    expect(verdicts.some(({ reached }) => reached)).toBe(true)
  })

  it('whose files may not grow is named, and costs nothing that was done', async (t) => {
    needs(t, 'root', 'loop devices')
    const place = await disk({ megabytes: 64 })
    const verdicts: Verdict[] = []
    for (let round = 0; round < some(10, 1); round += 1) {
      const limit = 20_000 * (round + 1)
      const words = ['/usr/bin/prlimit', `--fsize=${limit}`]
      verdicts.push(await buildOn(place, `files of ${limit} bytes`, words, () => {}, faultsOfFull))
    }
    keepFigures('disk-file-size', verdicts)
    expect(failures(verdicts)).toEqual([])
    expect(verdicts.some(({ reached }) => reached)).toBe(true)
  })

  it('that becomes read-only in the middle of a build ends it with a clear error', async (t) => {
    needs(t, 'root', 'loop devices')
    const place = await disk({ megabytes: 64 })
    const random = randomNumbers(seed)
    const verdicts: Verdict[] = []
    for (let round = 0; round < some(20, 2); round += 1) {
      verdicts.push(await breakDown(place, Math.floor(random() * 400)))
      await place.repair()
    }
    keepFigures('disk-read-only', verdicts)
    expect(failures(verdicts), `seed ${seed}`).toEqual([])
  })
})

async function breakDown(place: Disk, afterMs: number): Promise<Verdict> {
  const scenario = six()
  return await inTrial({ template: scenario.template, store: `${place.folder}/store` }, async (trial) => {
    const running = trial.start([], scenario.args(trial))
    await new Promise((resolve) => setTimeout(resolve, afterMs))
    place.breakDown()
    const before = await endOf(running)
    await trial.corral.kill()
    await place.repair()
    const verdict = await judge(
      scenario,
      trial,
      `read-only after ${afterMs} ms`,
      before,
      () => before.code !== 0,
    )
    const clear = /\[ERR_PERMISSION\]|\[ERR_STORE_IO\]|Read-only file system/.test(before.stderr)
    const wrong = before.code === 0 || clear ? [] : [`exit code ${before.code}: ${lastWords(before.stderr)}`]
    return { ...verdict, corrupt: [...verdict.corrupt, ...wrong] }
  })
}

describe('a system call that fails', () => {
  it.for(['build', 'pull', 'export'] as const)(
    'in %s is reported, and costs nothing that was done',
    async (name, t) => {
      needs(t, 'root', 'program strace')
      const scenario = scenarios.all.find((one) => one.name === name)
      if (scenario === undefined) throw new Error(`no scenario ${name}`)
      const points = await countInjections(scenario)
      const verdicts = await inParallel(sample(points, 6), 2, failAt)
      keepFigures(`errors-${name}`, verdicts)
      expect(failures(verdicts), `seed ${seed}`).toEqual([])
      expect(verdicts.some(({ reached }) => reached)).toBe(true)
    },
  )
})
