import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build, transform } from 'esbuild'
import { warmUp } from './warm-up.js'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const manifest = JSON.parse(readFileSync(here('package.json'), 'utf8'))
const target = 'node20'

rmSync(here('dist/bundle'), { recursive: true, force: true })
mkdirSync(here('dist/bundle'), { recursive: true })
const { outputFiles } = await build({
  entryPoints: { tsbuild: here('src/entry.ts'), 'dockerfile-ast': 'dockerfile-ast' },
  outdir: here('dist/bundle'),
  outExtension: { '.js': '.cjs' },
  bundle: true,
  // In chunks: a command reads and evaluates what it runs. esbuild splits ES modules only, so they become CommonJS afterwards.
  format: 'esm',
  splitting: true,
  platform: 'node',
  target,
  sourcemap: 'inline',
  sourcesContent: false,
  write: false,
  // Packages with native parts stay where npm put them.
  external: ['lmdb', 'fs-native-extensions'],
  // The sources, so that the bundle is never older than they are.
  alias: Object.fromEntries(readdirSync(here('../../libs')).flatMap(sourcesOf)),
  plugins: [
    { name: 'parts-of-undici', setup: takePartsOfUndici },
    { name: 'late-dockerfile-ast', setup: loadAstLate },
    { name: 'llhttp-as-it-is', setup: keepParserAsItIs },
  ],
  define: { TSBUILD_VERSION: JSON.stringify(manifest.version), 'import.meta.url': 'bundleUrl' },
  logLevel: 'warning',
})
await Promise.all(outputFiles.map(writeCommonJs))
await warmUp()

/** Writes a chunk as a CommonJS module: Node's loader of ES modules alone takes longer to start than all of a command. */
async function writeCommonJs({ path, text }) {
  const { code, map } = await transform(text, {
    format: 'cjs',
    platform: 'node',
    target,
    // What is imported dynamically comes by `require` too.
    supported: { 'dynamic-import': false },
    // Names stay: they are in stacks and in `error.name`.
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: 'external',
    sourcesContent: false,
    banner: /\bbundleUrl\b/.test(text)
      ? "const bundleUrl=require('node:url').pathToFileURL(__filename).href;"
      : '',
  })
  writeFileSync(path, code)
  writeFileSync(`${path}.map`, map)
}

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

/** libs/dockerfile loads it where something is wrong with a Dockerfile: a chunk of its own. */
function loadAstLate(builder) {
  builder.onResolve({ filter: /^dockerfile-ast$/ }, ({ kind }) =>
    kind === 'require-call' ? { path: './dockerfile-ast.cjs', external: true } : undefined,
  )
}

/**
 * undici parses answers in WebAssembly. V8 counts how often a function runs by the lengths of its backward jumps, and the parser
 * is one large loop over the characters: the first answer makes it hot, and TurboFan then compiles for 100 ms of processor time,
 * half of a build that finds everything in a cache-server. The baseline code is good for thousands of answers, and of a body the
 * parser sees no more than its length. So the parser's budget is a thousand times V8's; what else is WebAssembly keeps it.
 *
 * The budget is read when a module is made, which undici does right after it has loaded the bytes. V8 has no call to read a flag,
 * and code caches are made for the flags of a process, so exactly the default must come back: where it is not known nothing is changed.
 */
function keepParserAsItIs(builder) {
  builder.onLoad({ filter: /\/undici\/lib\/llhttp\/llhttp(_simd)?-wasm\.js$/ }, ({ path }) => ({
    contents: `
      if (process.versions.v8.startsWith('11.3.')) {
        const { setFlagsFromString } = require('node:v8')
        setFlagsFromString('--wasm-tiering-budget=1800000000')
        queueMicrotask(() => setFlagsFromString('--wasm-tiering-budget=1800000'))
      }
      ${readFileSync(path, 'utf8')}`,
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
