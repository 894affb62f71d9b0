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
    pool: 'threads',
    // Machines are shared: a limit is for what hangs.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
