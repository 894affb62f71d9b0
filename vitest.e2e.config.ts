import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

const folder = 'test/e2e'

/** What looks at the whole machine, or counts on having it: a test that uses it runs while no other does. */
const wholeMachine =
  /from '\.\.\/support\/(cgroups|leak-oracle|leaks|network|orphans|overlapping-builds|processes|race-rounds|use-oracle)\.ts'/

const files = readdirSync(join(import.meta.dirname, folder)).filter((name) => name.endsWith('.test.ts'))
const isAlone = (name: string) =>
  wholeMachine.test(readFileSync(join(import.meta.dirname, folder, name), 'utf8'))
const pathsOf = (names: readonly string[]) => names.map((name) => `${folder}/${name}`)

/** What crosses libs: the built command on a real machine. A build may take minutes. */
export default defineConfig({
  test: {
    globalSetup: ['test/support/seed-store.ts'],
    projects: [
      project('alone', 1, pathsOf(files.filter(isAlone))),
      project('together', 2, pathsOf(files.filter((name) => !isAlone(name)))),
    ],
  },
})

function project(name: string, order: number, include: string[]) {
  return {
    extends: true,
    test: {
      name,
      include,
      fileParallelism: name === 'together',
      maxWorkers: name === 'together' ? 2 : 1,
      pool: 'forks',
      testTimeout: 180_000,
      hookTimeout: 300_000,
      sequence: { groupOrder: order },
    },
  } as const
}
