import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleProgram } from '../../scripts/bundle-program.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
/** Packages with native parts: they stay as npm put them. */
const external = ['fs-native-extensions']

await bundleProgram({
  app: import.meta.url,
  name: 'cache-server',
  versionConstant: 'CACHE_SERVER_VERSION',
  options: { external },
})
assemble()

/** Makes dist/program: the launcher, the bundle, and the packages that are not in it. It runs wherever it is copied to. */
function assemble() {
  const program = here('dist/program')
  rmSync(program, { recursive: true, force: true })
  mkdirSync(program, { recursive: true })
  cpSync(here('bin'), join(program, 'bin'), { recursive: true })
  cpSync(here('dist/bundle/cache-server.cjs'), join(program, 'dist/bundle/cache-server.cjs'))
  const seen = new Set()
  for (const name of external) copyPackage(name, here('build.js'), program, seen)
}

/** Copies a package and what it depends on; of native parts those of this platform. */
function copyPackage(name, from, program, seen) {
  if (seen.has(name)) return
  seen.add(name)
  const folder = packageFolder(name, from)
  if (folder === undefined) return
  const other = (path) =>
    path.includes(`${sep}prebuilds${sep}`) && !path.includes(`${process.platform}-${process.arch}`)
  cpSync(folder, join(program, 'node_modules', name), {
    recursive: true,
    dereference: true,
    filter: (path) => !other(path.slice(folder.length)),
  })
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  for (const each of Object.keys(dependencies ?? {}))
    copyPackage(each, join(folder, 'package.json'), program, seen)
}

/** The nearest node_modules that has it; undefined for what is optional and not there. */
function packageFolder(name, from) {
  for (const place of createRequire(from).resolve.paths(name) ?? []) {
    const folder = join(place, name)
    if (existsSync(join(folder, 'package.json'))) return folder
  }
  return undefined
}
