import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  resolve: {
    // Tests read the sources, so that they need no build and stack traces are exact.
    alias: readdirSync(here('libs')).flatMap((lib) => [
      { find: new RegExp(`^@tsbuild/${lib}$`), replacement: here(`libs/${lib}/src/index.ts`) },
      {
        find: new RegExp(`^@tsbuild/${lib}/testing$`),
        replacement: here(`libs/${lib}/src/testing/index.ts`),
      },
    ]),
  },
  test: {
    include: ['libs/**/*.test.ts', 'apps/**/*.test.ts', 'test/repo/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    isolate: false,
    pool: 'threads',
    // Machines are shared: a limit is for what hangs.
    testTimeout: 30_000,
  },
})
