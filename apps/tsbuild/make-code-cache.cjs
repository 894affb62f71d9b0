// Started by warm-up.js in a scratch directory: runs commands and keeps what V8 compiled for them.
const { writeFileSync } = require('node:fs')
const { Writable } = require('node:stream')
const { loadBundle } = require('./bin/load-bundle.js')

const [, , lines] = process.argv

async function makeCodeCaches() {
  const { exports, scripts } = loadBundle()
  const silent = () => new Writable({ write: (_chunk, _encoding, done) => done() })
  for (const line of JSON.parse(lines)) {
    await exports.main(line, { ...exports.processHost(), stdout: silent(), stderr: silent() })
  }
  for (const [path, script] of scripts) writeFileSync(`${path}.v8`, script.createCachedData())
  process.exit()
}

void makeCodeCaches()
