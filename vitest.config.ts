import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** What a lib exports, as the sources that it is built from. */
function sourcesOf(lib: string) {
  const { exports } = JSON.parse(readFileSync(here(`libs/${lib}/package.json`), 'utf8')) as {
    exports: Record<string, { default: string }>
  }
  return Object.entries(exports).map(([path, { default: built }]) => ({
    find: new RegExp(`^@tsbuild/${lib}${path.slice(1)}$`),
    replacement: here(`libs/${lib}/${built.replace('./dist/', 'src/').replace(/js$/, 'ts')}`),
  }))
}

export default defineConfig({
  resolve: {
    // Tests read the sources, so that they need no build and stack traces are exact.
    alias: readdirSync(here('libs')).flatMap(sourcesOf),
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
