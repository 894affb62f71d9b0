import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const manifest = JSON.parse(readFileSync(here('package.json'), 'utf8'))

rmSync(here('dist/bundle'), { recursive: true, force: true })
await build({
  entryPoints: { 'cache-server': here('src/entry.ts') },
  outdir: here('dist/bundle'),
  outExtension: { '.js': '.cjs' },
  bundle: true,
  // One file: it can be copied into an image by itself, and what is imported dynamically is still evaluated only then.
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  // Names stay: they are in stacks and in `error.name`.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: 'external',
  sourcesContent: false,
  // Packages with native parts stay where npm put them.
  external: ['lmdb', 'fs-native-extensions'],
  // The sources, so that the bundle is never older than they are.
  alias: Object.fromEntries(
    readdirSync(here('../../libs')).map((lib) => [`@tsbuild/${lib}`, here(`../../libs/${lib}/src/index.ts`)]),
  ),
  define: { CACHE_SERVER_VERSION: JSON.stringify(manifest.version), 'import.meta.url': 'bundleUrl' },
  banner: { js: "const bundleUrl=require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
})
