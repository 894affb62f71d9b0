import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EnvironmentError } from '@tsbuild/errors'

/**
 * Finds `tsbuild-helper` near this module: in `native/helper/bin` of a checkout, or in `@tsbuild/helper` of a
 * `node_modules`. Goes up from the module's own place, because the command is bundled into one directory.
 *
 * @throws {EnvironmentError} `ERR_HELPER_MISSING`
 */
export function findHelper(from: string = import.meta.url): string {
  const places = ['native/helper/bin/tsbuild-helper', 'node_modules/@tsbuild/helper/bin/tsbuild-helper']
  for (let directory = dirname(fileURLToPath(from)); ; directory = dirname(directory)) {
    for (const place of places) {
      const path = join(directory, place)
      if (existsSync(path)) return path
    }
    if (directory === dirname(directory)) break
  }
  throw new EnvironmentError('ERR_HELPER_MISSING', 'Cannot find the program "tsbuild-helper"', {
    hints: ['Run `npm run build` in a checkout of tsbuild, or set TSBUILD_HELPER to the program.'],
  })
}
