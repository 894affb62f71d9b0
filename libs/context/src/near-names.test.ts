import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import { nearNames } from './index.ts'

function tree(...names: readonly string[]): string {
  const root = temporaryDirectory()
  for (const name of names) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), '')
  }
  return root
}

describe('nearNames()', () => {
  it.each<readonly [source: string, found: readonly string[]]>([
    ['pakage.json', ['package.json']],
    ['PACKAGE.JSON', ['package.json']],
    ['./main.ts', ['src/main.ts']],
    ['/src/mian.ts', ['src/main.ts']],
    ['sr', ['src']],
    ['.evn', ['.env']],
    ['nothing-like-it', []],
  ])('finds for %s %j', async (source, found) => {
    expect(await nearNames(tree('package.json', 'src/main.ts', '.env', 'docs/guide.md'), source)).toEqual(
      found,
    )
  })

  it('gives the three nearest, those of the same base name first', async () => {
    const root = tree('lib/deep/app.js', 'lib/app.js', 'ap.js', 'app.jsx', 'aap.js')
    expect(await nearNames(root, 'app.js')).toEqual(['lib/app.js', 'lib/deep/app.js', 'ap.js'])
  })

  it('does not look into node_modules and .git', async () => {
    expect(await nearNames(tree('node_modules/x/app.js', '.git/app.js'), 'app.js')).toEqual([])
  })

  it('finds nothing where the tree cannot be read', async () => {
    expect(await nearNames('/nowhere/at/all', 'app.js')).toEqual([])
  })
})
