import { defineConfig } from 'vitest/config'
import sources from './vitest.config.ts'

/** The corpus of test/conformance: cases share one builder and one store in this process, and run four at a time. */
export default defineConfig({
  resolve: sources.resolve ?? {},
  test: {
    include: ['test/conformance/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    pool: 'forks',
    maxConcurrency: 4,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
