const { readFileSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')
const { Script } = require('node:vm')

const folder = join(__dirname, '../dist/bundle/')

/**
 * Loads the bundle, each of its chunks with the functions that were compiled when it was built, which is a quarter of a cached
 * build's processor time on Node.js 20. V8 refuses what another version of itself compiled, and then compiles as if there were none.
 *
 * @returns the bundle's exports, and the scripts of what is loaded by path: build.js keeps what V8 compiled of them
 */
function loadBundle() {
  const modules = new Map()
  const scripts = new Map()
  const requireOther = createRequire(folder)
  const requireAny = (id) => (id.startsWith('./') ? requireChunk(folder + id.slice(2)) : requireOther(id))
  const requireChunk = (path) => {
    const known = modules.get(path)
    if (known !== undefined) return known.exports
    const script = compile(path)
    const module = { exports: {} }
    scripts.set(path, script)
    modules.set(path, module)
    script.runInThisContext()(module.exports, requireAny, module, path)
    return module.exports
  }
  return { exports: requireChunk(`${folder}tsbuild.cjs`), scripts }
}

function compile(path) {
  // The bundle is ASCII (esbuild's default), and V8 takes a latin1 text as it is.
  const source = readFileSync(path, 'latin1')
  return new Script(`(function(exports,require,module,__filename){${source}\n})`, {
    filename: path,
    cachedData: readIfThere(`${path}.v8`),
  })
}

function readIfThere(path) {
  try {
    return readFileSync(path)
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

module.exports = { loadBundle }
