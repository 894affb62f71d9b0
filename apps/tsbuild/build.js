import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { bundleChunks } from '../../scripts/bundle-program.mjs'
import { warmUp } from './warm-up.js'

await bundleChunks({
  app: import.meta.url,
  name: 'tsbuild',
  versionConstant: 'TSBUILD_VERSION',
  entries: { 'dockerfile-ast': 'dockerfile-ast' },
  options: {
    external: ['fs-native-extensions'],
    plugins: [
      { name: 'parts-of-undici', setup: takePartsOfUndici },
      { name: 'late-dockerfile-ast', setup: loadAstLate },
      { name: 'llhttp-as-it-is', setup: keepParserAsItIs },
    ],
  },
})
await warmUp()

/**
 * libs/http needs its agents and a request. Its index also loads fetch, web sockets and cookies, and Node's own undici for their
 * classes: 30 ms of each command that asks a registry.
 */
function takePartsOfUndici(builder) {
  builder.onResolve({ filter: /^undici$/ }, () => ({ path: 'undici', namespace: 'parts' }))
  builder.onLoad({ filter: /./, namespace: 'parts' }, () => ({
    resolveDir: fileURLToPath(new URL('../../libs/http', import.meta.url)),
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
