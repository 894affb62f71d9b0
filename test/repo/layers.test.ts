import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkLayers, readProjects } from '../support/layers.ts'
import { repository } from '../support/repository.ts'

describe('the layer rule', () => {
  it('checkLayers() finds nothing in this repository', () => {
    const projects = readProjects(repository)
    expect(projects.length).toBeGreaterThan(15)
    expect(checkLayers(projects)).toEqual([])
  })

  it('readProjects() sees the imports that are there', () => {
    const digest = readProjects(repository).find((project) => project.name === '@tsbuild/digest')
    expect(digest?.imports.map((one) => one.specifier)).toContain('@tsbuild/errors')
  })
})

describe('the layer rule on a copy with a planted mistake', () => {
  let copy = ''
  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), 'tsbuild-layers-'))
    for (const group of ['libs', 'apps']) {
      cpSync(join(repository, group), join(copy, group), {
        recursive: true,
        filter: (path) => !/\/(node_modules|dist)$/.test(path),
      })
    }
  })
  afterEach(() => rmSync(copy, { recursive: true }))

  const known = checkLayers(readProjects(repository))
  /** What the planted mistake adds. */
  const problems = () => checkLayers(readProjects(copy)).filter((problem) => !known.includes(problem))

  it('checkLayers() names an import that goes up', () => {
    appendFileSync(join(copy, 'libs/digest/src/index.ts'), "import { build } from '@tsbuild/builder'\n")
    expect(problems()).toEqual([
      expect.stringMatching(
        /^libs\/digest\/src\/index\.ts:\d+ imports @tsbuild\/builder, which @tsbuild\/digest does not/,
      ),
    ])
  })

  it('checkLayers() names an export-from and a dynamic import that go up', () => {
    appendFileSync(
      join(copy, 'libs/digest/src/digest.ts'),
      "export { solve } from '@tsbuild/solver'\nawait import('@tsbuild/ops')\n",
    )
    expect(problems()).toHaveLength(2)
  })

  it('checkLayers() names a relative import into another lib', () => {
    appendFileSync(join(copy, 'libs/digest/src/index.ts'), "export * from '../../oci/src/types.ts'\n")
    expect(problems()).toEqual([expect.stringContaining('outside of libs/digest')])
  })

  it('checkLayers() names a dependency on the same layer, even where it is declared and imported', () => {
    const manifest = join(copy, 'libs/graph/package.json')
    const parsed = JSON.parse(readFileSync(manifest, 'utf8'))
    parsed.dependencies['@tsbuild/oci'] = '0.1.0'
    writeFileSync(manifest, JSON.stringify(parsed))
    appendFileSync(join(copy, 'libs/graph/src/index.ts'), "import type {} from '@tsbuild/oci'\n")
    expect(problems()).toContain(
      '@tsbuild/graph (layer 2) depends on @tsbuild/oci (layer 2): not strictly down',
    )
    expect(problems()).toContain('libs/graph/tsconfig.json lacks a reference to oci')
  })

  it('checkLayers() names a project without a layer tag', () => {
    const manifest = join(copy, 'libs/graph/package.json')
    const { nx: _nx, ...rest } = JSON.parse(readFileSync(manifest, 'utf8'))
    writeFileSync(manifest, JSON.stringify(rest))
    expect(problems()).toContain('@tsbuild/graph has no layer tag')
  })
})
