import { readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseJson } from '@tsbuild/shape'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startInProcessServer } from '../support/cache-server-in-process.ts'
import { repository } from '../support/repository.ts'
import { check, run } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

const launcher = join(repository, 'apps/tsbuild/bin/tsbuild.js')
const loader = join(repository, 'apps/tsbuild/bin/load-bundle.js')
const chunks = join(repository, 'apps/tsbuild/dist/bundle')

let workspace: Workspace

beforeAll(() => {
  workspace = openWorkspace('start-up')
})

afterAll(() => workspace.remove())

interface Loaded {
  /** Of the chunks that a command loaded. */
  readonly name: string
  /** Whether V8 took the functions compiled for it; null where there are none. */
  readonly rejected: boolean | null
}

/** Runs commands in one process that loads the bundle as Node.js 20 does, and gives the chunks that it loaded. */
async function loadedBy(...lines: readonly (readonly string[])[]): Promise<readonly Loaded[]> {
  const program = `
    const { exports, scripts } = require(${JSON.stringify(loader)}).loadBundle()
    const { Writable } = require('node:stream')
    const silent = () => new Writable({ write: (chunk, encoding, done) => done() })
    const run = async () => {
      for (const line of ${JSON.stringify(lines)}) {
        const code = await exports.main(line, { ...exports.processHost(), stdout: silent(), stderr: silent() })
        if (code !== 0) throw new Error(line.join(' ') + ': ' + code)
      }
      const loaded = [...scripts].map(([name, { cachedDataRejected }]) => ({ name, rejected: cachedDataRejected ?? null }))
      process.stdout.write(JSON.stringify(loaded), () => process.exit())
    }
    run()`
  const env = { TSBUILD_ROOT: workspace.path('store') }
  const ran = await run(process.execPath, ['-e', program], { cwd: workspace.folder, env })
  if (ran.code !== 0) throw new Error(ran.stderr)
  return (parseJson(ran.stdout) as readonly Loaded[]).map((one) => ({ ...one, name: basename(one.name) }))
}

const names = (loaded: readonly Loaded[]) => loaded.map(({ name }) => name.replace(/-[A-Z0-9]{8}\.cjs$/, ''))

describe('the start of the command', { timeout: 60_000 }, () => {
  it('loads a part of the bundle, and of it what V8 has compiled already', async () => {
    const context = workspace.context('small', { Dockerfile: 'FROM scratch\nCOPY file /\n', file: 'text\n' })
    const all = readdirSync(chunks).filter((name) => name.endsWith('.cjs'))
    const version = await loadedBy(['--version'])
    const build = await loadedBy(['-t', 'small', context], ['-t', 'small', context])
    expect(version.length).toBeLessThan(build.length / 4)
    expect(build.length).toBeLessThan(all.length / 2)
    expect(names(build)).toContain('build')
    expect(names(build)).not.toContain('undici')
    if (process.versions.node.startsWith('20.'))
      expect(version.filter(({ rejected }) => rejected !== false)).toEqual([])
  })

  it('gives the parser of answers a budget of its own, and V8 back what it had', async () => {
    const server = await startInProcessServer()
    try {
      const name = `${new URL(server.url).host}/nothing:1`
      const args = ['--require', workspace.path('watch.cjs'), '--', launcher, 'pull', name]
      writeFileSync(workspace.path('watch.cjs'), watchWebAssembly)
      const env = { TSBUILD_ROOT: workspace.path('store') }
      const pulled = await run(process.execPath, args, { env })
      expect(pulled.stderr).toContain('ERR_IMAGE_NOT_FOUND')
      const known = process.versions.v8.startsWith('11.3.')
      const options = await check(process.execPath, ['--v8-options'])
      const [usual] = /--wasm-tiering-budget=\d+/.exec(options) ?? []
      expect(parseJson(pulled.stdout)).toEqual(known ? [`${usual}000`, 'module', usual] : ['module'])
    } finally {
      await server.close()
    }
  })
})

/** Prints the flags that V8 is given, and when a module of WebAssembly is made. */
const watchWebAssembly = `
  const seen = []
  const v8 = require('node:v8')
  const { setFlagsFromString } = v8
  v8.setFlagsFromString = (flag) => {
    seen.push(flag)
    setFlagsFromString(flag)
  }
  WebAssembly.Module = class extends WebAssembly.Module {
    constructor(bytes) {
      seen.push('module')
      super(bytes)
    }
  }
  process.on('exit', () => require('node:fs').writeSync(1, JSON.stringify(seen)))
`
