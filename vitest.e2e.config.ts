import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const folder = 'test/e2e'

/** Harms the machine on purpose, to see that it is found: nothing runs beside it. */
const harms = ['leak-oracle.test.ts']

/**
 * Looks for what a build leaves on the whole machine: mounts, processes, temporary files. These run beside each other, since
 * none of them may leave anything, and beside nothing else. Who looks only for its own folders, names and numbers is not
 * among them.
 */
const judges = /from '\.\.\/support\/use-oracle\.ts'/

/** Take a minute and more each: begun first, so that none is left to run alone at the end. */
const long =
  /\/(examples|fidelity|images|many-layers|real-projects|registry-matrix|reproducible|trust-ca)\.test\.ts$/

class LongestFirst extends BaseSequencer {
  override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
    const isShort = ({ moduleId }: TestSpecification) => Number(!long.test(moduleId))
    return (await super.sort(specifications)).sort((one, other) => isShort(one) - isShort(other))
  }
}

const files = readdirSync(join(import.meta.dirname, folder)).filter((name) => name.endsWith('.test.ts'))
const groupOf = (name: string) =>
  harms.includes(name)
    ? 'alone'
    : judges.test(readFileSync(join(import.meta.dirname, folder, name), 'utf8'))
      ? 'judges'
      : 'together'

/** What crosses libs: the built command on a real machine. A build may take minutes. */
export default defineConfig({
  test: {
    globalSetup: ['test/support/seed-store.ts'],
    sequence: { sequencer: LongestFirst },
    projects: [
      project('alone', 1, 1),
      project('judges', 2, availableParallelism()),
      // Builds wait for disks, for servers and for each other.
      project('together', 3, availableParallelism() + 1),
    ],
  },
})

function project(name: string, groupOrder: number, maxWorkers: number) {
  return {
    extends: true,
    test: {
      name,
      include: files.filter((file) => groupOf(file) === name).map((file) => `${folder}/${file}`),
      fileParallelism: maxWorkers > 1,
      maxWorkers,
      pool: 'forks',
      testTimeout: 180_000,
      hookTimeout: 300_000,
      sequence: { groupOrder },
    },
  } as const
}
