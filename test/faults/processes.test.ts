import { readdirSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { type Outcome, readEvents, readSteps } from '../support/tsbuild.ts'
import { fsck } from './fsck.ts'
import { endOf, findLeft, inTrial, openRig, type Rig, type Trial } from './rig.ts'
import { isSoak, keepRow, randomNumbers, seed } from './tally.ts'
import { lastWords } from './verdict.ts'

let rig: Rig
beforeAll(async () => {
  rig = await openRig('processes')
})
afterAll(() => rig?.remove())

const json = (context: string) => ['--progress', 'json', context]

/** A step that says by its output that it ran. */
const step = (name: string) => `RUN echo ran-${name}; echo ${name} > /${name}; sleep 0.05`

/** How often each step ran, by what the steps of all builds said. */
function runsOf(ends: readonly Outcome[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { stderr } of ends) {
    for (const event of readEvents(stderr)) {
      if (event.type !== 'vertex.log') continue
      const text = Buffer.from(event.data as unknown as string, 'base64').toString()
      for (const [, name = ''] of text.matchAll(/^ran-(\S+)$/gm))
        counts.set(name, (counts.get(name) ?? 0) + 1)
    }
  }
  return counts
}

describe('16 processes on one store', () => {
  it('run each distinct step once, whatever they share', async (t) => {
    needs(t, 'root')
    const rounds = isSoak ? 20 : 1
    let [builds, failed, twice, corrupt, leaked] = [0, 0, 0, 0, 0]
    for (let round = 0; round < rounds; round += 1) {
      await inTrial({ template: rig.busybox }, async (trial) => {
        // All share the first step; pairs, fours and eights share longer beginnings.
        const chains = Array.from({ length: 16 }, (_, index) =>
          [0, 1, 2, 3, 4].map((depth) => `r${round}-${depth}-${index >> (4 - depth)}`),
        )
        const contexts = chains.map((chain, index) =>
          rig.context(`overlap-${round}-${index}`, {
            Dockerfile: ['FROM busybox:test', ...chain.map(step)].join('\n'),
          }),
        )
        const ends = await Promise.all(contexts.map((context) => endOf(trial.start([], json(context)), 120)))
        expect(ends.filter(({ code }) => code !== 0).map(({ stderr }) => lastWords(stderr))).toEqual([])
        const runs = runsOf(ends)
        expect([...runs.keys()].toSorted()).toEqual([...new Set(chains.flat())].toSorted())
        expect([...runs].filter(([, count]) => count !== 1)).toEqual([])
        const found = fsck(trial.store, { swept: true, noEmptyFiles: true })
        expect([found.corrupt, found.dangling, found.leaked, await findLeft(trial)]).toEqual([[], [], [], []])
        const snapshots = readdirSync(`${trial.store}/v1/snapshots`).length
        expect(snapshots - readdirSync(`${rig.busybox}/v1/snapshots`).length).toBe(
          new Set(chains.flat()).size,
        )
        builds += ends.length
        failed += ends.filter(({ code }) => code !== 0).length
        twice += [...runs.values()].filter((count) => count !== 1).length
        corrupt += found.corrupt.length
        leaked += found.leaked.length
      })
    }
    keepRow('processes', { points: builds, survived: builds - failed, lost: twice, corrupt, leaked })
  })
})

describe('who holds a step', () => {
  const slow = (name: string) =>
    rig.context(name, { Dockerfile: `FROM busybox:test\nRUN echo ran-${name}; sleep 7; echo x > /x\n` })
  const ran = (trial: Trial, context: string) => {
    const running = trial.start([], json(context))
    const began = running.saw(/"vertex\.log"/)
    // One that finds it cached never begins.
    began.catch(() => {})
    return { running, began }
  }

  it('and is killed is followed by the next within a second', async (t) => {
    needs(t, 'root')
    await inTrial({ template: rig.busybox }, async (trial) => {
      const context = slow('dead-holder')
      const first = ran(trial, context)
      await first.began
      const second = ran(trial, context)
      await second.running.saw(/"vertex\.started".*\n(.*\n)*.*"vertex\.started"/)
      await wait(500)
      first.running.child.kill('SIGKILL')
      const killedAt = performance.now()
      await second.began
      // A second for the lock; the rest is the start of a container on a machine with other work.
      expect(performance.now() - killedAt).toBeLessThan(3000)
      expect((await endOf(second.running)).code).toBe(0)
      await first.running.outcome
    })
  })

  it('and is stopped is waited for, which the waiter says; then it was made once', async (t) => {
    needs(t, 'root')
    await inTrial({ template: rig.busybox }, async (trial) => {
      const context = slow('stopped-holder')
      const first = ran(trial, context)
      await first.began
      first.running.child.kill('SIGSTOP')
      const second = ran(trial, context)
      try {
        await second.running.saw(/"vertex\.waiting"/)
      } finally {
        first.running.child.kill('SIGCONT')
      }
      const ends = await Promise.all([first, second].map(({ running }) => endOf(running)))
      expect(ends.map(({ code }) => code)).toEqual([0, 0])
      expect([...runsOf(ends)]).toEqual([['stopped-holder', 1]])
    })
  })
})

describe('a store', () => {
  it.for([
    ['spaces', 'a store'],
    ['a colon', 'a:store'],
    ['a comma', 'a,store'],
    ['a backslash', 'a\\store'],
    ['a newline', 'a\nstore'],
    ['an equals sign and quotes', `a="store'`],
  ] as const)('whose path has %s builds, keeps and exports', async ([, name], t) => {
    needs(t, 'root')
    const context = rig.context('odd-paths', {
      Dockerfile:
        'FROM busybox:test\nCOPY file /\nRUN --mount=type=cache,target=/c cat /file > /c/x && cp /c/x /copy\n',
      file: 'content\n',
    })
    await inTrial({ template: rig.busybox, store: rig.workspace.path(name) }, async (trial) => {
      for (const executed of [2, 0]) {
        const end = await endOf(
          trial.start(
            [],
            ['-t', 'odd:1', '-o', 'type=image', '-o', trial.path(`out${executed}`), ...json(context)],
          ),
        )
        expect([end.code, lastWords(end.stderr)]).toEqual([0, ''])
        expect(readSteps(end.stderr).executed).toHaveLength(executed)
      }
      expect(fsck(trial.store, { swept: true })).toEqual({ corrupt: [], dangling: [], leaked: [] })
    })
  })
})

describe('a prune in a loop', () => {
  it('takes nothing from builds that run, and in the end takes everything', async (t) => {
    needs(t, 'root')
    const random = randomNumbers(seed)
    await inTrial({ template: rig.busybox }, async (trial) => {
      const minutes = isSoak ? Number(process.env.TSBUILD_FAULT_MINUTES ?? 10) : 0.2
      const until = performance.now() + minutes * 60_000
      let [builds, prunes] = [0, 0]
      const failed: string[] = []
      const note = (end: Outcome, what: string) => {
        if (end.code !== 0) failed.push(`${what}: ${end.code ?? end.signal}: ${lastWords(end.stderr)}`)
      }
      const build = async (worker: number) => {
        while (performance.now() < until) {
          const shared = Math.floor(random() * 3)
          const context = rig.context(`pruned-${worker}`, {
            Dockerfile: [
              'FROM busybox:test',
              step(`shared-${shared}`),
              step(`own-${worker}-${builds}`),
              'COPY --from=busybox:test /etc/group /g',
            ].join('\n'),
          })
          note(
            await endOf(trial.start([], ['-o', trial.path(`out-${worker}`), ...json(context)]), 120),
            'build',
          )
          builds += 1
        }
      }
      const prune = async () => {
        while (performance.now() < until) {
          note(await endOf(trial.start([], ['prune', '--all', '--force']), 120), 'prune')
          prunes += 1
        }
      }
      await Promise.all([...Array.from({ length: isSoak ? 8 : 3 }, (_, worker) => build(worker)), prune()])
      note(await endOf(trial.start([], ['prune', '--all', '--force'])), 'prune')
      const { corrupt, dangling, leaked } = fsck(trial.store, { swept: true })
      const left = await findLeft(trial)
      keepRow('prune-loop', {
        points: builds,
        survived: builds - failed.length,
        lost: 0,
        corrupt: corrupt.length + dangling.length,
        leaked: leaked.length + left.length,
      })
      expect([failed, corrupt, dangling, leaked, left], `seed ${seed}, ${prunes} prunes`).toEqual([
        [],
        [],
        [],
        [],
        [],
      ])
      expect(Math.min(builds, prunes)).toBeGreaterThan(1)
      // What is left is the named image, and what it was made of.
      expect(readdirSync(`${trial.store}/v1/snapshots`).length).toBeLessThanOrEqual(
        readdirSync(`${rig.busybox}/v1/snapshots`).length,
      )
    })
  })
})
