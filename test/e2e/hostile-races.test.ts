import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { userNames } from '../support/builder-user.ts'
import { needs } from '../support/capabilities.ts'
import { whileExchanging } from '../support/exchanger.ts'
import { onBusybox } from '../support/hostile-table.ts'
import type { Hostile } from '../support/leak-oracle.ts'
import { raceRounds } from '../support/race-rounds.ts'
import { useOracle } from '../support/use-oracle.ts'

/** How many rounds one build has: as many mounts, or directories that are copied. */
const perBuild = 50
const limitMs = 3_600_000
const range = (length: number) => Array.from({ length }, (_, index) => index)

/** @see spec/security.md sections 3.1 to 3.3 */
describe.each(userNames)('races, as %s', (userName) => {
  const oracle = useOracle(userName, 'races')

  /** The directory of a cache mount in the store. */
  function cacheOf(id: string): string {
    const mounts = oracle().workspace.path('store', 'v1', 'mounts')
    const found = (existsSync(mounts) ? readdirSync(mounts) : [])
      .map((name) => join(mounts, name, '0'))
      .find((path) => JSON.parse(readFileSync(join(path, 'meta.json'), 'utf8')).id === id)
    return join(found ?? '', 'fs')
  }

  /** Judges the input, once for each `perVerdict` rounds, while two names are exchanged. */
  async function race(
    rounds: number,
    perVerdict: number,
    [one, other]: readonly [string, string],
    make: (done: number) => Hostile,
  ): Promise<void> {
    const log = oracle().workspace.path(`exchanges-${perVerdict}-${rounds}`)
    for (let done = 0; done < rounds; done += perVerdict)
      expect(await oracle().judge({ ...make(done), wrapper: whileExchanging(one, other, log) })).toEqual([])
    // Each run had its racer, which raced.
    const counts = readFileSync(log, 'utf8').trimEnd().split('\n').map(Number)
    expect(counts.length).toBeGreaterThanOrEqual(rounds / perVerdict)
    expect(Math.min(...counts)).toBeGreaterThan(100)
  }

  it(
    'MNT-01: the source of a cache mount is exchanged for a symlink to the host',
    async (t) => {
      needs(t, 'program perl')
      const { tree } = oracle().canaries
      // The symlink leads to something inside of the cache too, so that no mount fails and every round is one.
      await oracle().build([
        'FROM busybox:test',
        `RUN --mount=type=cache,id=race,target=/c cd /c && mkdir -p sel .${tree} && echo inside > sel/token && echo decoy > .${tree}/token && ln -s ${tree} lnk`,
      ])
      const cache = cacheOf('race')
      const mounts = range(perBuild).map((n) => `--mount=type=cache,id=race,source=sel,target=/m${n}`)
      await race(raceRounds(5000), 2 * perBuild, [join(cache, 'sel'), join(cache, 'lnk')], () => ({
        dockerfile: ['FROM busybox:test', `RUN ${mounts.join(' ')} cat /m*/token`],
        wants: { output: /^((inside|decoy)\n){50}$/ },
      }))
    },
    limitMs,
  )

  it(
    'RUN-07: a directory is exchanged for a symlink to the host while mount points are made below it',
    async (t) => {
      needs(t, 'program perl')
      const { tree } = oracle().canaries
      await oracle().build([
        'FROM busybox:test',
        `RUN --mount=type=cache,id=below,target=/c cd /c && mkdir sel && ln -s ${tree} lnk`,
      ])
      const cache = cacheOf('below')
      // Which mount point is a symlink when it is looked at is chance; the first that is ends the build, so a round is
      // one build. run_wins_the_race_for_a_mount_point_in_a_shared_mount has the rounds of the specification.
      await race(raceRounds(200), 2, [join(cache, 'sel'), join(cache, 'lnk')], (round) => ({
        ...onBusybox(
          `RUN --mount=type=cache,id=below,target=/c --mount=type=tmpfs,target=/c/sel/r${round} touch /c/sel/r${round}/x`,
        ),
        wants: 'anything',
      }))
    },
    limitMs,
  )

  it(
    'CPY-01: a directory of the context is exchanged for a symlink to the host while it is copied',
    async (t) => {
      needs(t, 'program perl')
      const { tree } = oracle().canaries
      const context = oracle().workspace.path('live')
      mkdirSync(join(context, 'd'), { recursive: true })
      symlinkSync(tree, join(context, 'lnk'))
      for (const n of range(perBuild)) {
        mkdirSync(join(context, 'd', `${n}`))
        writeFileSync(join(context, 'd', `${n}`, 'token'), `${n}\n`)
      }
      writeFileSync(join(context, 'd', 'token'), 'inside\n')
      await race(raceRounds(5000), perBuild, [join(context, 'd'), join(context, 'lnk')], (round) => {
        const copies = range(perBuild).map((n) => `COPY d/token /${round}/${n}`)
        writeFileSync(join(context, 'Dockerfile'), ['FROM busybox:test', ...copies].join('\n'))
        const out = oracle().workspace.path('out', `${round}`)
        return {
          command: ['--progress', 'plain', '--network', 'none', '-o', out, context],
          wants: 'anything',
        }
      })
    },
    limitMs,
  )
})
