import { defineConfig } from 'vitest/config'

/** What is too large for every test run: images of hundreds of megabytes, races in full. `npm run test:soak` */
export default defineConfig({
  test: {
    include: ['test/soak/**/*.test.ts'],
    globalSetup: ['test/support/seed-store.ts'],
    fileParallelism: false,
    pool: 'forks',
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
})
