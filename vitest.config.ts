import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { libSources } from './scripts/lib-sources.mjs'

export default defineConfig({
  resolve: {
    // Tests read the sources, so that they need no build and stack traces are exact.
    alias: libSources().map(([specifier, source]) => ({
      find: new RegExp(`^${specifier}$`),
      replacement: source,
    })),
  },
  test: {
    include: ['libs/**/*.test.ts', 'apps/**/*.test.ts', 'test/repo/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    isolate: false,
    // Processes, not threads: file descriptors and the four threads that wait for locks are a process's own.
    pool: 'forks',
    // vitest would leave one processor to itself, which is half of two; it has next to nothing to do.
    maxWorkers: availableParallelism(),
    // Machines are shared: a limit is for what hangs.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
