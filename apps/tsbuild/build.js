import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const manifest = JSON.parse(readFileSync(here('package.json'), 'utf8'))

rmSync(here('dist/bundle'), { recursive: true, force: true })
await build({
  entryPoints: { tsbuild: here('src/entry.ts') },
  outdir: here('dist/bundle'),
  bundle: true,
  splitting: true,
  minify: true,
  keepNames: true,
  sourcemap: 'linked',
  sourcesContent: false,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // Packages with native parts stay where npm put them.
  external: ['lmdb', 'fs-native-extensions'],
  // The sources, so that the bundle is never older than they are.
  alias: Object.fromEntries(
    readdirSync(here('../../libs')).map((lib) => [`@tsbuild/${lib}`, here(`../../libs/${lib}/src/index.ts`)]),
  ),
  define: { TSBUILD_VERSION: JSON.stringify(manifest.version) },
  // CommonJS packages ask for Node's modules with `require`, which ESM has not.
  banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
  logLevel: 'warning',
})
