import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { findHelper } from './find-helper.ts'
import { temporaryDirectory } from './testing/fake-helper.ts'

describe('findHelper()', () => {
  function tree(...files: readonly string[]): string {
    const directory = temporaryDirectory()
    for (const file of files) {
      mkdirSync(join(directory, file, '..'), { recursive: true })
      writeFileSync(join(directory, file), '')
    }
    return directory
  }
  const inPackages = 'node_modules/@tsbuild/helper/bin/tsbuild-helper'
  const inCheckout = 'native/helper/bin/tsbuild-helper'
  const from = (directory: string) =>
    pathToFileURL(join(directory, 'node_modules/@tsbuild/native/dist/a.js')).href

  it.each([inPackages, inCheckout])('finds %s above the module', (place) => {
    const directory = tree(place)
    expect(findHelper(from(directory))).toBe(join(directory, place))
  })

  it('takes the nearest one', () => {
    const directory = tree(inCheckout, `apps/x/${inPackages}`)
    expect(findHelper(pathToFileURL(join(directory, 'apps/x/a.js')).href)).toBe(
      join(directory, 'apps/x', inPackages),
    )
  })

  it('throws ERR_HELPER_MISSING when there is none', () => {
    expect(() => findHelper(from(tree()))).toThrow(expect.objectContaining({ code: 'ERR_HELPER_MISSING' }))
  })
})
