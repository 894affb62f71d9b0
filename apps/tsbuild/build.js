import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const manifest = JSON.parse(readFileSync(here('package.json'), 'utf8'))

rmSync(here('dist/bundle'), { recursive: true, force: true })
await build({
  entryPoints: { tsbuild: here('src/entry.ts') },
  outdir: here('dist/bundle'),
  outExtension: { '.js': '.cjs' },
  bundle: true,
  // One file: what is imported dynamically is still evaluated only then, and one file is found and read faster than many.
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
  alias: Object.fromEntries(readdirSync(here('../../libs')).flatMap(sourcesOf)),
  plugins: [{ name: 'parts-of-undici', setup: takePartsOfUndici }],
  define: { TSBUILD_VERSION: JSON.stringify(manifest.version), 'import.meta.url': 'bundleUrl' },
  banner: { js: "const bundleUrl=require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
})
warmUp()

/**
 * libs/http needs its agents and a request. Its index also loads fetch, web sockets and cookies, and Node's own undici for their
 * classes: 30 ms of each command that asks a registry.
 */
function takePartsOfUndici(builder) {
  builder.onResolve({ filter: /^undici$/ }, () => ({ path: 'undici', namespace: 'parts' }))
  builder.onLoad({ filter: /./, namespace: 'parts' }, () => ({
    resolveDir: here('../../libs/http'),
    contents: `
      Object.assign(require('undici/lib/dispatcher/dispatcher').prototype, require('undici/lib/api'))
      exports.Agent = require('undici/lib/dispatcher/agent')
      exports.Pool = require('undici/lib/dispatcher/pool')
      exports.EnvHttpProxyAgent = require('undici/lib/dispatcher/env-http-proxy-agent')`,
  }))
}

/** What a lib exports, as the sources that it is built from. */
function sourcesOf(lib) {
  const { exports } = JSON.parse(readFileSync(here(`../../libs/${lib}/package.json`), 'utf8'))
  return Object.entries(exports).map(([path, { default: built }]) => [
    `@tsbuild/${lib}${path.slice(1)}`,
    here(`../../libs/${lib}/${built.replace('./dist/', 'src/').replace(/js$/, 'ts')}`),
  ])
}

/** Makes the code cache in a process that has just run commands: it holds the functions that were called. */
function warmUp() {
  const scratch = mkdtempSync(join(tmpdir(), 'tsbuild-warm-up-'))
  try {
    writeFileSync(join(scratch, 'Dockerfile'), 'FROM scratch AS a\nARG B=1\nENV C=$B\nCOPY Dockerfile /x\n')
    const env = { PATH: process.env.PATH, HOME: scratch, TSBUILD_ROOT: join(scratch, 'store') }
    const made = spawnSync(process.execPath, [here('make-code-cache.cjs')], {
      cwd: scratch,
      env,
      encoding: 'utf8',
    })
    if (made.status !== 0) throw new Error(`Cannot make the code cache: ${made.stderr}`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
