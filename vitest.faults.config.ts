import { defineConfig } from 'vitest/config'

/** Faults of test/faults: a sample of the points, or all of them where `TSBUILD_SOAK` is 1. One file at a time. */
export default defineConfig({
  test: {
    include: ['test/faults/**/*.test.ts'],
    fileParallelism: false,
    pool: 'forks',
    testTimeout: process.env.TSBUILD_SOAK === '1' ? 4 * 3_600_000 : 120_000,
    hookTimeout: 120_000,
  },
})
