import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readProjects } from '../support/layers.ts'
import { listFiles, readText, repository } from '../support/repository.ts'

const projects = readProjects(repository)
const libraries = projects.filter((project) => project.folder.startsWith('libs/'))

describe('documents', () => {
  it.each(libraries.map((project) => [project.folder, project] as const))(
    '%s has a README and its row in ARCHITECTURE.md',
    (folder, project) => {
      expect(readText(`${folder}/README.md`)).toMatch(new RegExp(`^# ${project.name}\\n`))
      const lib = folder.slice('libs/'.length)
      const row = new RegExp(`^\\| ${project.layer} \\| \`${lib}\` \\|[^|]+\\|([^|]*)\\|$`, 'm').exec(
        readText('ARCHITECTURE.md'),
      )
      const edges = [...(row?.[1] ?? '').matchAll(/`([a-z-]+)`/g)].map((match) => match[1])
      const declared = project.dependencies.flatMap((name) => name.match(/^@tsbuild\/(.*)$/)?.slice(1) ?? [])
      expect(edges.toSorted()).toEqual(declared.toSorted())
    },
  )

  it('ARCHITECTURE.md names an existing test for every invariant', () => {
    const section = readText('ARCHITECTURE.md').split('## Invariants')[1]?.split('\n## ')[0] ?? ''
    const invariants = section.split(/^\d+\. /m).slice(1)
    expect(invariants.length).toBeGreaterThanOrEqual(7)
    for (const invariant of invariants) {
      const named = [...invariant.matchAll(/`((?:libs|apps|test|native)\/[^`]+\.(?:ts|rs))`/g)].map(
        (match) => match[1],
      )
      expect(named, invariant).not.toEqual([])
      expect(named.filter((path) => path === undefined || !existsSync(join(repository, path)))).toEqual([])
    }
  })

  it('generate-docs.mjs has nothing to change', () => {
    const output = execFileSync(process.execPath, ['scripts/generate-docs.mjs', '--check'], {
      cwd: repository,
    })
    expect(output.toString()).toContain('fresh')
  })

  it('CHANGELOG.md begins with Unreleased and uses the known headings', () => {
    const headings = readText('CHANGELOG.md')
      .split('\n')
      .filter((line) => line.startsWith('#'))
    expect(headings[0]).toBe('# Changelog')
    expect(headings[1]).toBe('## Unreleased')
    const known =
      /^(# Changelog|## (Unreleased|\d+\.\d+\.\d+ .*)|### (Added|Changed|Deprecated|Removed|Fixed|Security))$/
    expect(headings.filter((line) => !known.test(line))).toEqual([])
  })

  it('link only to files that exist', () => {
    const broken = listFiles()
      .filter((path) => path.endsWith('.md'))
      .flatMap((path) =>
        [...readText(path).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)/g)]
          .map((match) => match[1] ?? '')
          .filter((target) => !existsSync(join(repository, dirname(path), target)))
          .map((target) => `${path} → ${target}`),
      )
    expect(broken).toEqual([])
  })

  it('ADRs are numbered without a gap and stay on one page', () => {
    const records = readdirSync(join(repository, 'docs/adr')).filter((name) => /^\d{4}-/.test(name))
    expect(records.map((name) => Number(name.slice(0, 4)))).toEqual(records.map((_, index) => index + 1))
    const long = records.filter((name) => readText(`docs/adr/${name}`).split(/\s+/).length > 600)
    expect(long).toEqual([])
  })
})
