// Adds the packages of other platforms to package-lock.json.
//
// `npm install` leaves an optional platform package out of the lockfile when the registry it asks has only some of them,
// and `npm ci` then refuses the lockfile on every machine. Their names and exact versions are known from the package that
// wants them, and name the platform; only the integrity stays unknown until they are first installed.
// Usage: node scripts/complete-lockfile.mjs [--check]
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const systems = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
]
const processors = [
  'arm64',
  'arm',
  'ia32',
  'loong64',
  'mips64el',
  'ppc64',
  'riscv64',
  's390x',
  'wasm32',
  'x64',
]

const path = fileURLToPath(new URL('../package-lock.json', import.meta.url))
const text = readFileSync(path, 'utf8')
const lock = JSON.parse(text)
const added = Object.values(lock.packages).flatMap((wanting) => addMissing(lock.packages, wanting))
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')))

if (added.length === 0) process.exit(0)
if (process.argv.includes('--check')) {
  process.stderr.write(
    `package-lock.json lacks ${added.join(', ')}: run node scripts/complete-lockfile.mjs\n`,
  )
  process.exit(1)
}
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
process.stdout.write(`Added ${added.length} packages of other platforms to package-lock.json\n`)

/** Adds an entry for every optional dependency of `wanting` that is a platform's and has none; gives their names. */
function addMissing(packages, wanting) {
  const missing = Object.entries(wanting.optionalDependencies ?? {}).filter(
    ([name, version]) => packages[`node_modules/${name}`] === undefined && /^\d/.test(version),
  )
  return missing.flatMap(([name, version]) => {
    const words = name.split(/[/-]/)
    const os = systems.filter((system) => words.includes(system))
    const cpu = processors.filter((processor) => words.includes(processor))
    if (os.length + cpu.length === 0) return []
    packages[`node_modules/${name}`] = {
      version,
      ...(cpu.length > 0 && { cpu }),
      ...(wanting.dev && { dev: true }),
      ...(words.includes('musl') && { libc: ['musl'] }),
      optional: true,
      ...(os.length > 0 && { os }),
    }
    return [name]
  })
}
