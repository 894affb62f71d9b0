import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCacheServer } from '../support/cache-server-process.ts'
import { needs } from '../support/capabilities.ts'
import { check } from '../support/tsbuild.ts'
import { type Acknowledged, findLost, startUploaders, type Uploaders } from './cache-uploads.ts'
import { mount, unmount } from './disk.ts'
import { isSoak, keepRow, randomNumbers, seed, soakPoints } from './tally.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-faults-cache-server-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Waits until so many more were acknowledged: a busy machine takes longer for them. */
async function untilMore(uploaders: Uploaders, more: number): Promise<void> {
  const wanted = uploaders.acknowledged().length + more
  while (uploaders.acknowledged().length < wanted && uploaders.refused().length === 0)
    await new Promise((resolve) => setTimeout(resolve, 5))
}

/** Counts what was tried and lost, for the table and for the test. */
function keepCounts(row: string, points: number, lost: readonly string[]): void {
  keepRow(row, { points, survived: points - lost.length, lost: lost.length, corrupt: 0, leaked: 0 }, lost)
}

describe('a cache-server', () => {
  it('that is killed at any moment and started again has everything that it acknowledged', async () => {
    const random = randomNumbers(seed)
    const dir = join(folder, 'killed')
    const acknowledged: Acknowledged[] = []
    const refused: string[] = []
    const rounds = isSoak ? soakPoints(100) : 5
    for (let round = 0; round < rounds; round += 1) {
      const server = await startCacheServer(dir)
      const uploaders = startUploaders(server.host, 8)
      await untilMore(uploaders, 20 + random() * 40)
      await server.stop('SIGKILL')
      await uploaders.stop()
      acknowledged.push(...uploaders.acknowledged())
      refused.push(...uploaders.refused())
    }
    const lost = await findLost(dir, acknowledged)
    keepCounts('kill-cache-server', acknowledged.length, lost)
    expect({ lost, refused }).toEqual({ lost: [], refused: [] })
    expect(acknowledged.length).toBeGreaterThanOrEqual(rounds * 20)
  })

  it('whose power is cut has everything that it acknowledged', async (t) => {
    needs(t, 'root', 'loop devices', 'program mkfs.xfs')
    const instants = isSoak ? soakPoints(60) : 6
    const cuts = await cutPower(instants, randomNumbers(seed))
    const lost: string[] = []
    let promised = 0
    for (const { image, acknowledged } of cuts) {
      const mounted = `${image}.mounted`
      mkdirSync(mounted)
      await mount(image, mounted)
      try {
        lost.push(...(await findLost(join(mounted, 'cache'), acknowledged)))
      } finally {
        await unmount(mounted)
        rmSync(image)
      }
      promised += acknowledged.length
    }
    await unmount(join(folder, 'pool'))
    keepCounts('power-cache-server', promised, lost)
    expect(lost).toEqual([])
    expect(cuts.length).toBe(instants)
    expect(promised).toBeGreaterThanOrEqual(instants === 60 ? 10_000 : instants * 20)
  })
})

interface Cut {
  /** What a disk without power would hold. */
  readonly image: string
  /** What had been acknowledged when it was cut. */
  readonly acknowledged: readonly Acknowledged[]
}

/** As in `power-loss.ts`: a disk in a file on an XFS of our own, copied by reflink while it is written. */
async function cutPower(instants: number, random: () => number): Promise<readonly Cut[]> {
  const [image, pool] = [join(folder, 'pool.img'), join(folder, 'pool')]
  mkdirSync(pool)
  await check('truncate', ['--size', '4G', image])
  await check('mkfs.xfs', ['-q', '-m', 'reflink=1', image])
  await check('mount', ['-o', 'loop', image, pool])
  const [disk, mounted] = [join(pool, 'disk.img'), join(pool, 'disk')]
  await check('truncate', ['--size', '1G', disk])
  await check('mkfs.ext4', ['-q', '-m', '0', '-E', 'lazy_itable_init=0', disk])
  mkdirSync(mounted)
  await mount(disk, mounted)
  const cuts: Cut[] = []
  const server = await startCacheServer(join(mounted, 'cache'), ['--limits-min-free', '1m'])
  const uploaders = startUploaders(server.host, 8)
  try {
    for (let number = 1; number <= instants; number += 1) {
      await untilMore(uploaders, 20 + random() * 40)
      const acknowledged = uploaders.acknowledged()
      const copy = join(pool, `cut-${number}.img`)
      await check('cp', ['--reflink=always', disk, copy])
      cuts.push({ image: copy, acknowledged })
    }
  } finally {
    await uploaders.stop()
    await server.stop('SIGKILL')
    await unmount(mounted)
  }
  expect(uploaders.refused()).toEqual([])
  return cuts
}
