import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleProgram } from '../../scripts/bundle-program.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

await bundleProgram({
  app: import.meta.url,
  name: 'tsbuild',
  versionConstant: 'TSBUILD_VERSION',
  options: {
    external: ['fs-native-extensions'],
    plugins: [{ name: 'parts-of-undici', setup: takePartsOfUndici }],
  },
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
