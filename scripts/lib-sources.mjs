// Where the sources are of what libs/ export, for what reads them without a build: vitest.config.ts and the bundles.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const libs = fileURLToPath(new URL('../libs/', import.meta.url))

/** Each specifier of a lib (`@tsbuild/store/testing`) with the absolute path of the TypeScript file that it is built from. */
export function libSources() {
  return readdirSync(libs).flatMap((lib) => {
    const { exports } = JSON.parse(readFileSync(`${libs}${lib}/package.json`, 'utf8'))
    return Object.entries(exports).map(([path, { default: built }]) => [
      `@tsbuild/${lib}${path.slice(1)}`,
      `${libs}${lib}/${built.replace('./dist/', 'src/').replace(/js$/, 'ts')}`,
    ])
  })
}
