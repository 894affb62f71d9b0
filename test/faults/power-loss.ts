import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { check } from '../support/tsbuild.ts'
import { mount, unmount } from './disk.ts'
import { endOf, inTrial, type Rig } from './rig.ts'
import type { Scenario } from './scenarios.ts'
import type { Verdict } from './tally.ts'
import { judge } from './verdict.ts'

/**
 * Disks whose power can be cut: each is an ext4 file system in a file on an XFS of our own, and a reflink copy of that file is
 * what a disk without power would hold: all that the kernel had handed to the device until then, and nothing that only its
 * cache had.
 */
export interface PowerRig {
  /**
   * Builds on such a disk and cuts its power at instants, `pauseMs` apart and at most `most` of them; then says of each what a
   * machine that comes up again finds.
   */
  readonly cut: (scenario: Scenario, pauseMs: () => number, most: number) => Promise<readonly Verdict[]>
  readonly remove: () => Promise<void>
}

/** Makes the rig; needs root, loop devices and `mkfs.xfs`. */
export async function makePowerRig(rig: Rig): Promise<PowerRig> {
  const [image, pool] = [rig.workspace.path('pool.img'), rig.workspace.path('pool')]
  mkdirSync(pool)
  await check('truncate', ['--size', '4G', image])
  await check('mkfs.xfs', ['-q', '-m', 'reflink=1', image])
  await check('mount', ['-o', 'loop', image, pool])
  let rounds = 0
  return {
    cut: async (scenario, pauseMs, most) => {
      rounds += 1
      const folder = join(pool, `round-${rounds}`)
      mkdirSync(folder)
      try {
        return await cutRound(folder, scenario, pauseMs, most)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
    remove: async () => {
      await unmount(pool)
      for (const path of [image, pool]) rmSync(path, { recursive: true, force: true })
    },
  }
}

/** What a disk held at an instant, and what the build had said until then. */
interface Cut {
  readonly image: string
  readonly stderr: string
  readonly afterMs: number
}

async function cutRound(
  folder: string,
  scenario: Scenario,
  pauseMs: () => number,
  most: number,
): Promise<readonly Verdict[]> {
  const [disk, mounted] = [join(folder, 'disk.img'), join(folder, 'disk')]
  await check('truncate', ['--size', '96M', disk])
  await check('mkfs.ext4', ['-q', '-m', '0', '-E', 'lazy_itable_init=0', disk])
  const cuts = await withMounted(disk, mounted, () =>
    cutsOf(folder, scenario, { disk, mounted, pauseMs, most }),
  )
  const verdicts: Verdict[] = []
  for (const cut of cuts) {
    verdicts.push(await withMounted(cut.image, `${cut.image}.mounted`, () => comeUp(scenario, cut)))
    rmSync(cut.image)
  }
  return verdicts
}

async function cutsOf(
  folder: string,
  scenario: Scenario,
  { disk, mounted, pauseMs, most }: { disk: string; mounted: string; pauseMs: () => number; most: number },
): Promise<readonly Cut[]> {
  const cuts: Cut[] = []
  await inTrial({ template: scenario.template, store: join(mounted, 'store') }, async (trial) => {
    const startedAt = performance.now()
    let stderr = ''
    let ended = false
    const running = trial.start([], scenario.args(trial))
    running.child.stderr?.on('data', (text) => (stderr += text))
    const end = endOf(running).finally(() => (ended = true))
    for (let number = 1; number <= most && !ended; number += 1) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs()))
      const [said, afterMs] = [stderr, Math.round(performance.now() - startedAt)]
      const image = join(folder, `cut-${number}.img`)
      await check('cp', ['--reflink=always', disk, image])
      cuts.push({ image, stderr: said, afterMs })
    }
    await end
  })
  return cuts
}

/** Starts on what is left. */
async function comeUp(scenario: Scenario, { image, stderr, afterMs }: Cut): Promise<Verdict> {
  const store = join(`${image}.mounted`, 'store')
  return await inTrial({ template: undefined, store }, async (trial) => {
    const before = { code: null, signal: null, stdout: '', stderr }
    const point = `${scenario.name}, power cut after ${afterMs} ms`
    return await judge(scenario, trial, point, before, () => true, { powerCut: true })
  })
}

async function withMounted<T>(image: string, folder: string, use: () => Promise<T>): Promise<T> {
  mkdirSync(folder)
  await mount(image, folder)
  try {
    return await use()
  } finally {
    await unmount(folder)
  }
}
