import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { readProjects } from '../support/layers.ts'
import { listFiles, readText, repository } from '../support/repository.ts'

interface LockedPackage {
  readonly version?: string
  readonly resolved?: string
  readonly link?: boolean
  readonly hasInstallScript?: boolean
  readonly dev?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const lock: { readonly packages: Readonly<Record<string, LockedPackage>> } = JSON.parse(
  readText('package-lock.json'),
)
const projects = readProjects(repository)

/** Hosts of package registries and mirrors, in parts: no file of the repository may hold one, this one included. */
const registryHosts = [
  ['registry', 'npmjs', 'org'],
  ['registry', 'yarnpkg', 'com'],
  ['index', 'crates', 'io'],
  ['static', 'crates', 'io'],
  ['deb', 'debian', 'org'],
  ['security', 'debian', 'org'],
  ['ftp', 'debian', 'org'],
  ['pypi', 'org'],
].map((parts) => parts.join('.'))

describe('dependencies', () => {
  it('package-lock.json resolves to no host', () => {
    const hosts = Object.entries(lock.packages)
      .filter(([, entry]) => entry.resolved !== undefined && !(entry.link && /^[a-z]/.test(entry.resolved)))
      .map(([path, entry]) => `${path}: ${entry.resolved}`)
    expect(hosts).toEqual([])
    expect(readText('package-lock.json')).not.toMatch(/"resolved": "[a-z+]+:\/\//)
  })

  it('no file names a package registry', () => {
    const naming = listFiles().flatMap((path) => {
      const text = readText(path)
      return registryHosts.filter((host) => text.includes(host)).map((host) => `${path}: ${host}`)
    })
    expect(naming).toEqual([])
  }, 60_000)

  it('package-lock.json has the packages of every platform, as npm ci wants', () => {
    execFileSync(process.execPath, ['scripts/complete-lockfile.mjs', '--check'], { cwd: repository })
  })

  it('every dependency is pinned to one exact version', () => {
    const manifests = listFiles().filter((path) =>
      /^(package|(libs|apps|native)\/[^/]+\/package)\.json$/.test(path),
    )
    const loose = manifests.flatMap((path) => {
      const manifest = JSON.parse(readText(path))
      const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies }
      return Object.entries(all)
        .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(String(version)))
        .map(([name, version]) => `${path}: ${name} ${version}`)
    })
    expect(loose).toEqual([])
  })

  it('every runtime dependency has its line in docs/dev/dependencies.md', () => {
    const text = readText('docs/dev/dependencies.md')
    const direct = new Set(projects.flatMap((project) => project.dependencies))
    const missing = [...direct].filter(
      (name) => !name.startsWith('@tsbuild/') && !text.includes(`| \`${name}\` |`),
    )
    expect(missing).toEqual([])
  })

  it('every crate of the helper has its line in docs/dev/dependencies.md', () => {
    const section = readText('native/helper/Cargo.toml').split('[dependencies]')[1]?.split('\n[')[0] ?? ''
    const crates = [...section.matchAll(/^([\w-]+) *=/gm)].map((match) => match[1] ?? '')
    expect(crates.length).toBeGreaterThan(3)
    const text = readText('docs/dev/dependencies.md')
    expect(crates.filter((name) => !text.includes(`| \`${name}\` |`))).toEqual([])
  })

  it('the closure of tsbuild is the pinned one: a new package in it is a decision', () => {
    const pinned = [
      ...(readText('docs/dev/dependencies.md').split('## Closure of tsbuild')[1] ?? '').matchAll(
        /^- `(.+)`$/gm,
      ),
    ]
    expect(closureOf('tsbuild')).toEqual(pinned.map((match) => match[1]))
  })
})

/** Names of all packages that come with a project when it is installed without development dependencies; sorted. */
function closureOf(project: string): readonly string[] {
  const byName = new Map(projects.map((one) => [one.name, one]))
  const found = new Set<string>()
  const visit = (name: string, path: string) => {
    const own = byName.get(name)
    if (own !== undefined) {
      for (const dependency of own.dependencies) visit(dependency, own.folder)
      return
    }
    const at = resolveLocked(name, path)
    if (at === undefined || found.has(name)) return
    found.add(name)
    const entry = lock.packages[at]
    for (const dependency of Object.keys({ ...entry?.dependencies })) visit(dependency, at)
  }
  visit(project, '')
  return [...found].toSorted()
}

/** Where Node finds `name` from `path`: the nearest node_modules upwards. */
function resolveLocked(name: string, path: string): string | undefined {
  for (let folder = path; ; folder = folder.replace(/\/?[^/]*$/, '')) {
    const candidate = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`
    if (lock.packages[candidate] !== undefined) return candidate
    if (folder === '') return undefined
  }
}
