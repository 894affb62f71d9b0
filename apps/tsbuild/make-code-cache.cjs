// Started by build.js in a scratch directory with a Dockerfile: runs some commands and keeps what V8 compiled for them.
const { writeFileSync } = require('node:fs')
const { Writable } = require('node:stream')
const { codeCache, loadBundle } = require('./bin/load-bundle.js')

const build = ['-t', 'a', '.']
const lines = [
  build,
  build,
  ['-o', 'type=oci,dest=a.tar', '.'],
  ['images'],
  ['run'],
  ['build', '--help'],
  ['--unknown'],
]

async function warmUp() {
  const { exports, script } = loadBundle()
  const silent = () => new Writable({ write: (_chunk, _encoding, done) => done() })
  // A build without a helper ends early; the cache then lacks what comes after, and that is all.
  for (const line of lines) {
    await exports.main(line, { ...exports.processHost(), stdout: silent(), stderr: silent() })
  }
  writeFileSync(codeCache, script.createCachedData())
  process.exit()
}

void warmUp()
