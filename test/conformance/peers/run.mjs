// Builds every positive case of the corpus with the peers as well and compares. Usage: see main.ts.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { libSources } from '../../../scripts/lib-sources.mjs'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const outdir = join(root, '.tsbuild-dev', 'peers')
mkdirSync(outdir, { recursive: true })
await build({
  entryPoints: [join(root, 'test/conformance/peers/main.ts')],
  outfile: join(outdir, 'main.cjs'),
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  sourcemap: 'inline',
  // Packages with native parts stay where npm put them.
  external: ['fs-native-extensions'],
  alias: Object.fromEntries(libSources()),
  define: { 'import.meta.url': 'bundleUrl' },
  // Sources find the repository from their own place.
  banner: {
    js: `const bundleUrl=require('node:url').pathToFileURL(${JSON.stringify(join(root, 'test/support/bundle'))}).href;`,
  },
  logLevel: 'warning',
})
const { main } = (await import(join(outdir, 'main.cjs'))).default
process.exit(await main(process.argv.slice(2)))
